"""State, address, times and exit facts of a container from the JSON that both engines answer with.

State names come and go between engine versions (``stopped`` and ``stopping`` for a moment, ``dead`` when
a removal failed): an unknown one is taken for a state that will pass, never for an exit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciler.engines.http.calls.answer_shapes import read_time
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


def parse_state(word: str) -> ContainerStateName:
    """Returns the state for an engine's word; ``stopping`` for an unknown one."""
    return _STATES.get(word.lower(), "stopping")


def parse_time(text: str | None) -> float | None:
    """Returns seconds since the epoch of an engine's RFC 3339 text; None for its "never", and for no time."""
    try:
        return read_time(text or "")
    except (ValueError, OverflowError):
        return None


def parse_address(item: Mapping[str, Any]) -> str:
    """Returns the address on the only network: the running container's, else the one asked for."""
    for network in ((item.get("NetworkSettings") or {}).get("Networks") or {}).values():
        asked = ((network or {}).get("IPAMConfig") or {}).get("IPv4Address")
        if address := (network or {}).get("IPAddress") or asked:
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
