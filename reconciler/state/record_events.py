"""The events that a job's record keeps: the last :data:`EVENTS_KEPT`, equal ones in a row counted."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

#: Events of a job that its record and its status show.
EVENTS_KEPT: Final = 50


class EventRecord(BaseModel):
    """One event; ``type`` is Normal or Warning, ``at`` the last time it occurred, seconds since the epoch."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: float
    type: str = "Normal"
    reason: str
    message: str
    count: int = 1


def append_event(events: tuple[EventRecord, ...], new: EventRecord) -> tuple[EventRecord, ...]:
    """Append an event, dropping the oldest beyond the limit; one equal to the last is counted instead."""
    if events:
        last = events[-1]
        if (last.reason, last.message, last.type) == (new.reason, new.message, new.type):
            return (*events[:-1], last.model_copy(update={"count": last.count + 1, "at": new.at}))
    return (*events, new)[-EVENTS_KEPT:]
