"""``$(NAME)`` in commands, arguments, environment and planned files.

Kubernetes' rules (``third_party/forked/golang/expansion``): ``$(NAME)`` becomes the variable's value,
``$$`` is a literal dollar sign, so that ``$$(NAME)`` stays ``$(NAME)``; an unknown name stays as it is
written. The result of an expansion is not expanded again.

Besides variables a plan has *references*, placeholders for what is known only when the job runs:

* ``$(<step>-<index>.ip)``: address of a pod;
* ``$(host.ip)``: address at which the containers reach the engine's host;
* ``$(job.port)``: rendezvous port (an engine without network namespaces gives each job its own);
* ``$(job.attempt)``: number of restarts of the whole job;
* ``$(progress.address)``: host and port of the daemon's progress endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

PORT_REFERENCE: Final = "$(job.port)"
ATTEMPT_REFERENCE: Final = "$(job.attempt)"
HOST_REFERENCE: Final = "$(host.ip)"
PROGRESS_REFERENCE: Final = "$(progress.address)"
#: Key of the host's own address in a mapping of addresses.
HOST: Final = ("", 0)

_SYNTAX: Final = re.compile(r"\$\$|\$\(([^)]*)\)")
_REFERENCE: Final = re.compile(
    r"\$\((?:job\.port|job\.attempt|host\.ip|[a-z0-9](?:[-a-z0-9]*[a-z0-9])?-[0-9]+\.ip)\)"
)


def address_reference(step: str, index: int) -> str:
    """Returns the reference to the address of pod ``index`` of ``step``."""
    return f"$({step}-{index}.ip)"


def reference_values(
    addresses: Mapping[tuple[str, int], str], port: int, *, attempt: int = 0, progress: str = ""
) -> dict[str, str]:
    """Returns the values of the references, by the name between the parentheses.

    Args:
        addresses: by ``(step, index)``, the host's by ``HOST``.
        port: rendezvous port.
        attempt: number of restarts of the whole job.
        progress: host and port of the progress endpoint; "" leaves its reference as it is.
    """
    values = {f"{step}-{index}.ip": address for (step, index), address in addresses.items() if step}
    if HOST in addresses:
        values["host.ip"] = addresses[HOST]
    if progress:
        values["progress.address"] = progress
    return values | {"job.port": str(port), "job.attempt": str(attempt)}


def expand(text: str, variables: Mapping[str, str], references: Mapping[str, str]) -> str:
    """Returns ``text`` with variables and references replaced; a variable hides a reference of its name."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        if name in variables:
            return variables[name]
        return references.get(name, match.group(0))

    return _SYNTAX.sub(value, text)


def expand_references(text: str, references: Mapping[str, str]) -> str:
    """Returns the content of a file with references replaced and every other ``$`` left alone."""
    return _REFERENCE.sub(lambda match: references.get(match.group(0)[2:-1], match.group(0)), text)
