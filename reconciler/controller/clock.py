"""The clock: time that has passed, whatever sets the wall clock in between.

Records hold moments of the wall clock: people read them, and they outlive the daemon. What is *counted*
between two of them (a deadline, a back-off, a time to live) must be time that has passed, and a clock that
NTP sets an hour ahead has not let an hour pass. So each record holds the timeline that its moments were taken
by: how far the wall clock was ahead of the time since the host's start. Where that differs now, the clock was
set in between, and the moments that something is counted from are moved along; what is only shown
(conditions, events, the start and end of a job) stays as it was.

Across a reboot nothing can be compared, and the wall clock counts: the time that the host was off has passed,
as on a cluster. Unless it is behind what the record knows (a dead battery, before NTP has answered): then no
time has passed since the last moment that is known.

What can go wrong: a host that starts with a clock ahead of the true time looks as if it had been off for so
long; and where the system gives its start no name (not Linux) a clock set while no daemon runs is missed.
"""

from __future__ import annotations

import time
import uuid
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from reconciler.state.record import ContainerRecord, Record, Timeline

#: Seconds by which a clock may be set without counting as set (NTP slews all the time).
TOLERANCE: Final = 1.0
#: Seconds that the wall clock may be off the record's time before moments are converted ...
MIN_OFFSET: Final = 0.001
#: ... and what is added then, so that rounding makes no moment too early.
ROUNDING: Final = 0.00001
#: Seconds that reading both clocks may take; otherwise they are read again.
_MAX_READ_TIME: Final = 0.05
_MAX_READS: Final = 5

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """The time, and the timeline that moments are taken by."""

    def __call__(self) -> float:
        """Returns seconds since the epoch, by the wall clock."""

    def timeline(self) -> Timeline:
        """Returns how far the wall clock is ahead of the time since the host's start."""

    def now_on(self, timeline: Timeline) -> float:
        """Returns seconds since the epoch as if the clock had not been set since the timeline was read."""


class HostClock:
    """The clock of this host."""

    def __call__(self) -> float:
        """See :class:`Clock`."""
        return time.time()

    def timeline(self) -> Timeline:
        """See :class:`Clock`; both clocks are read at once."""
        for _ in range(_MAX_READS):
            up, wall = _uptime(), time.time()
            if _uptime() - up < _MAX_READ_TIME:
                break
        return Timeline(boot=_boot_id(), ahead=wall - up)

    def now_on(self, timeline: Timeline) -> float:
        """See :class:`Clock`; the time since the start is never set."""
        return timeline.ahead + _uptime()


def _uptime() -> float:
    """Returns seconds since the host's start, those asleep included where the system counts them."""
    clock_id: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock_id) if clock_id is not None else time.monotonic()


@cache
def _boot_id() -> str:
    """Returns the id of this start of the host; where it has none, of this process."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex


def clock_change(old: Timeline, new: Timeline) -> float:
    """Returns by how many seconds the clock was set between two readings; 0 where that is not known."""
    by = new.ahead - old.ahead
    return by if old.boot == new.boot and abs(by) > TOLERANCE else 0.0


def rebase(record: Record, timeline: Timeline, *, now: float) -> Record:
    """Moves what the record counts from to the timeline of now."""
    if record.finished and record.cleaned:
        return record
    old = record.timeline
    if old is not None and old.boot == timeline.boot:
        by = clock_change(old, timeline)
        return _shift(record, by, timeline) if by else record
    return _shift(record, min(now - _latest_moment(record), 0.0), timeline)


def record_now(record: Record, clock: Clock) -> float:
    """Returns the time by which the record counts: a pass must not see the clock being set."""
    return clock.now_on(record.timeline) if record.timeline is not None else clock()


def to_wall_clock(moment: float, record: Record, clock: Clock) -> float:
    """Converts a moment of the record's for the queue, which goes by the wall clock; never too early."""
    offset = clock() - record_now(record, clock)
    return moment + offset + ROUNDING if abs(offset) > MIN_OFFSET else moment


def to_record_clock(moment: float, record: Record, clock: Clock) -> float:
    """Converts a moment of the wall clock into the record's time: :func:`to_wall_clock` in reverse."""
    offset = clock() - record_now(record, clock)
    return moment - offset if abs(offset) > MIN_OFFSET else moment


def _latest_moment(record: Record) -> float:
    moments = [record.clock_from, *record.step_started.values(), *(c.at for c in record.conditions)]
    return max([*moments, *(event.at for event in record.events)])


def _shift(record: Record, by: float, timeline: Timeline) -> Record:
    """Moves every moment that something is counted from."""
    problem = record.problem
    return record.replace(
        timeline=timeline,
        clock_from=record.clock_from + by,
        step_started={name: at + by for name, at in record.step_started.items()},
        attempt_not_before=_shifted(record.attempt_not_before, by),
        progress_at=_shifted(record.progress_at, by),
        problem=problem and problem.replace(retry_at=_shifted(problem.retry_at, by)),
        containers={name: _shift_container(c, by) for name, c in record.containers.items()},
    )


def _shift_container(record: ContainerRecord, by: float) -> ContainerRecord:
    """A container that runs has run for as long as before; the start of one that has ended is history."""
    started = record.started_at
    if started is not None and record.result is None:
        started += by
    return record.replace(not_before=_shifted(record.not_before, by), started_at=started)


def _shifted(moment: float, by: float) -> float:
    """Moves a moment; 0 means never."""
    return moment + by if moment else 0.0
