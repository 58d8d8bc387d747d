"""State, address, times and exit facts of a container from the JSON that both engines answer with.

State names come and go between engine versions (``stopped`` and ``stopping`` for a moment, ``dead`` when
a removal failed): an unknown one is taken for a state that will pass, never for an exit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from reconciler.engines.protocol import ContainerStateName, ExitFacts

_STATES: Final[Mapping[str, ContainerStateName]] = {
    "configured": "created",
    "created": "created",
    "initialized": "created",
    "running": "running",
    "restarting": "running",
    "paused": "paused",
    "stopping": "stopping",
    "removing": "stopping",
    "stopped": "exited",
    "exited": "exited",
    "dead": "exited",
}

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$")


def parse_state(word: str) -> ContainerStateName:
    """Returns the state for an engine's word; ``stopping`` for an unknown one."""
    return _STATES.get(word.lower(), "stopping")


def parse_time(text: str | None) -> float | None:
    """Returns seconds since the epoch of an engine's RFC 3339 text; None for its "never" (year 1).

    Nanoseconds are kept as far as a float can: Python's own parser takes only six digits.
    """
    match = _TIME.match(text or "")
    if match is None or match[1].startswith("0001-"):
        return None
    moment = datetime.fromisoformat(match[1] + (match[3] or "Z").replace("Z", "+00:00"))
    return moment.astimezone(UTC).timestamp() + float(match[2] or 0)


def parse_address(item: Mapping[str, Any]) -> str:
    """Returns the address on the only network: the running container's, else the one asked for."""
    for network in ((item.get("NetworkSettings") or {}).get("Networks") or {}).values():
        asked = (network.get("IPAMConfig") or {}).get("IPv4Address")
        if address := network.get("IPAddress") or asked:
            return str(address)
    return ""


def parse_exit(state: Mapping[str, Any]) -> ExitFacts:
    """Returns the exit facts in the ``State`` object of an inspect (the same on both engines)."""
    code = state.get("ExitCode")
    return ExitFacts(
        # Podman says -1 (as an unsigned 32-bit number in places) while it does not know.
        code=code if isinstance(code, int) and 0 <= code <= 255 else None,
        oom_killed=bool(state.get("OOMKilled")),
        finished_at=parse_time(state.get("FinishedAt")),
        error=str(state.get("Error") or ""),
    )
