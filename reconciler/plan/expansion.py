"""``$(NAME)`` in commands, arguments, environment and planned files.

Kubernetes' rules (``third_party/forked/golang/expansion``): ``$(NAME)`` becomes the variable's value,
``$$`` is a literal dollar sign, so that ``$$(NAME)`` stays ``$(NAME)``; a name that nobody knows stays
as it is written. What comes out of an expansion is not expanded again.

Beside variables a plan uses *references*, which stand for what only the running job has:

* ``$(<step>-<index>.ip)``: address of an instance;
* ``$(host.ip)``: address at which the containers reach the engine's host;
* ``$(job.port)``: the rendezvous port (an engine without network namespaces gives each job its own);
* ``$(progress.address)``: host and port at which the daemon hears of progress;
* ``$(job.attempt)``: how often the job has been restarted as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

PORT_REFERENCE: Final = "$(job.port)"
ATTEMPT_REFERENCE: Final = "$(job.attempt)"
HOST_REFERENCE: Final = "$(host.ip)"
#: Key of the host's own address in a mapping of addresses.
HOST: Final = ("", 0)

_SYNTAX: Final = re.compile(r"\$\$|\$\(([^)]*)\)")
_REFERENCE: Final = re.compile(
    r"\$\((?:job\.port|job\.attempt|host\.ip|[a-z0-9](?:[-a-z0-9]*[a-z0-9])?-[0-9]+\.ip)\)"
)


def reference(step: str, index: int) -> str:
    """The text that stands for the address of instance ``index`` of ``step``."""
    return f"$({step}-{index}.ip)"


def references(addresses: Mapping[tuple[str, int], str], port: int, *, attempt: int = 0) -> dict[str, str]:
    """What the references stand for, by the name between the parentheses."""
    known = {f"{step}-{index}.ip": address for (step, index), address in addresses.items() if step}
    if HOST in addresses:
        known["host.ip"] = addresses[HOST]
    return known | {"job.port": str(port), "job.attempt": str(attempt)}


def expand(text: str, variables: Mapping[str, str], known: Mapping[str, str]) -> str:
    """``text`` with variables and references replaced; a variable hides a reference of its name."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return "$"
        if name in variables:
            return variables[name]
        return known.get(name, match.group(0))

    return _SYNTAX.sub(value, text)


def expand_references(text: str, known: Mapping[str, str]) -> str:
    """``text`` with references replaced and every other ``$`` left alone: for the content of files."""
    return _REFERENCE.sub(lambda match: known.get(match.group(0)[2:-1], match.group(0)), text)
