"""What both engines' JSON says of a container, in this project's words.

State names come and go between engine versions (``stopped`` and ``stopping`` for a moment, ``dead`` when
a removal failed): an unknown one is read as a state that will pass, never as an end.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from reconciler.engines.protocol import ContainerStateName, ExitFacts

T = TypeVar("T")

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

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?$")


def state_name(word: str) -> ContainerStateName:
    """The engine's word for a state as one of ours; ``stopping`` for one that nobody knows."""
    return _STATES.get(word.lower(), "stopping")


def action_name(word: str) -> str:
    """The engine's word for an event as one of ours; Docker appends details after a colon."""
    plain = word.split(":", 1)[0].strip().lower()
    return _ACTIONS.get(plain, plain)


def event_labels(attributes: Mapping[str, str] | None) -> dict[str, str]:
    """The labels among an event's attributes."""
    return {key: value for key, value in (attributes or {}).items() if key not in _NOT_LABELS}


def parse_time(text: str | None) -> float | None:
    """Seconds since the epoch of an engine's RFC 3339 text; None for its "never" (year 1).

    Nanoseconds are kept as far as a float can: Python's own parser takes only six digits.
    """
    match = _TIME.match(text or "")
    if match is None or match[1].startswith("0001-"):
        return None
    moment = datetime.fromisoformat(match[1] + (match[3] or "Z").replace("Z", "+00:00"))
    return moment.astimezone(UTC).timestamp() + float(match[2] or 0)


def exit_facts(state: Mapping[str, Any]) -> ExitFacts:
    """Exit facts from the ``State`` object of an inspect (the same on both engines)."""
    code = state.get("ExitCode")
    return ExitFacts(
        # Podman says -1 (as an unsigned 32-bit number in places) while it does not know.
        code=code if isinstance(code, int) and 0 <= code <= 255 else None,
        oom_killed=bool(state.get("OOMKilled")),
        finished_at=parse_time(state.get("FinishedAt")),
        error=str(state.get("Error") or ""),
    )


def has_labels(labels: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    """Whether all the wanted labels are there (engines differ in how they join filters)."""
    return all((labels or {}).get(key) == value for key, value in wanted.items())


def label_filter(labels: Mapping[str, str]) -> str:
    """The ``filters`` of a listing: what carries all the labels."""
    return json.dumps({"label": [f"{key}={value}" for key, value in labels.items()]})


class Remembered(Generic[T]):
    """Facts that change only with their ``version``, by container id, so that each is asked for once.

    A cache and nothing else: losing it costs a call. The oldest are dropped beyond ``limit``.
    """

    def __init__(self, *, limit: int = 4096) -> None:
        self._limit = limit
        self._facts: OrderedDict[str, tuple[object, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str, version: object) -> T | None:
        """What is remembered of ``key`` at this version."""
        with self._lock:
            known = self._facts.get(key)
            if known is None or known[0] != version:
                return None
            self._facts.move_to_end(key)
            return known[1]

    def put(self, key: str, version: object, fact: T) -> None:
        """Remember."""
        with self._lock:
            self._facts[key] = (version, fact)
            self._facts.move_to_end(key)
            while len(self._facts) > self._limit:
                self._facts.popitem(last=False)
