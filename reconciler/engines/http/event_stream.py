"""Events of an engine: the JSON lines of ``/events`` as :class:`~reconciler.engines.protocol.EngineEvent`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.engines.http.calls.object_answers import EventAnswer
from reconciler.engines.protocol import EngineEvent

#: Names of actions that the engines do not share.
_ACTIONS: Final[Mapping[str, str]] = {
    "died": "die",
    "destroy": "remove",
    "health_status": "health",
    "unpaused": "unpause",
}

#: Keys that engines put among the labels in an event.
_NOT_LABELS: Final = frozenset(
    {"name", "image", "exitCode", "containerExitCode", "signal", "execID", "podId", "type", "container"}
)


def parse_event(item: EventAnswer) -> EngineEvent | None:
    """Returns the event of a container or network; None for any other object."""
    kind = item["Type"]
    if kind not in {"container", "network"}:
        return None
    actor = item.get("Actor") or {}
    attributes = actor.get("Attributes") or {}
    return EngineEvent(
        kind=str(kind),
        action=_action(str(item.get("Action") or item.get("status") or "")),
        name=str(attributes.get("name") or actor.get("ID") or ""),
        labels={key: value for key, value in attributes.items() if key not in _NOT_LABELS},
    )


def _action(name: str) -> str:
    """Normalizes an action's name; Docker appends details after a colon."""
    plain = name.split(":", 1)[0].strip().lower()
    return _ACTIONS.get(plain, plain)
