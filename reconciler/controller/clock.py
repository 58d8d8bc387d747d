"""Time that passes, however often somebody sets the clock.

Records hold moments of the wall clock: people read them, and they outlive the daemon. What is *counted*
between two of them (a deadline, a back-off, a time to live) must be time that has passed, and a clock that
NTP sets an hour ahead has not let an hour pass. So each record says by which timeline its moments were taken:
how far the wall clock was ahead of the time since the host's start. Where that is otherwise now, the clock
was set in between, and the moments that something is counted from are moved along; what is only told
(conditions, events, the start and end of a job) stays as it was told.

Across a reboot there is nothing to compare with, and the wall clock is believed: the time that the host was
off counts, as on a cluster. Unless it has gone back behind what the record knows (a dead battery, before NTP
has answered): then no time has passed since the last moment that is known.

What can go wrong: a host that starts with a clock ahead of the true time looks as if it had been off for so
long; and where the system gives its start no name (not Linux) a clock set while no daemon runs is believed.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final, Protocol

from reconciler.state.record import ContainerRecord, Record, Timeline

#: Seconds by which clocks are set without anybody minding.
SET: Final = 1.0
#: Seconds that the wall clock may be off the record's time, and by which adding the two may be wrong.
NOTICED: Final = 0.001
ROUNDING: Final = 0.00001
#: Reading two clocks takes no longer, else they are read again.
_AT_ONCE: Final = 0.05
_TRIES: Final = 5

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """The time, and what it has been counted by."""

    def __call__(self) -> float:
        """Seconds since the epoch, as everybody on the host reads them."""

    def timeline(self) -> Timeline:
        """How the wall clock stands to the time since the host's start."""

    def on(self, timeline: Timeline) -> float:
        """Seconds since the epoch, as they would be had nobody set the clock since."""


class HostClock:
    """The clock of this host."""

    def __call__(self) -> float:
        """As :class:`Clock` has it, like the others."""
        return time.time()

    def timeline(self) -> Timeline:
        """Both clocks, read at once."""
        for _ in range(_TRIES):
            up, wall = _uptime(), time.time()
            if _uptime() - up < _AT_ONCE:
                break
        return Timeline(boot=_boot(), ahead=wall - up)

    def on(self, timeline: Timeline) -> float:
        """Nobody sets the time since the start."""
        return timeline.ahead + _uptime()


def _uptime() -> float:
    """Seconds since the host's start, those asleep included where the system counts them."""
    which: int | None = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(which) if which is not None else time.monotonic()


@cache
def _boot() -> str:
    """The name of this start of the host; where it has none, of this process."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return uuid.uuid4().hex


def step(old: Timeline, now: Timeline) -> float:
    """By how many seconds the clock was set between two looks at it; 0 where that is not known."""
    by = now.ahead - old.ahead
    return by if old.boot == now.boot and abs(by) > SET else 0.0


def watch(clock: Clock) -> Callable[[], float]:
    """A function that says by how many seconds the clock was set since it last said so."""
    seen = clock.timeline()

    def look() -> float:
        nonlocal seen
        now = clock.timeline()
        if by := step(seen, now):
            seen = now
        return by

    return look


def follow(record: Record, timeline: Timeline, *, now: float) -> Record:
    """The record with what it counts from on the timeline of now."""
    if record.finished and record.cleaned:
        return record
    old = record.timeline
    if old is not None and old.boot == timeline.boot:
        by = step(old, timeline)
        return _move(record, by, timeline) if by else record
    return _move(record, min(now - _latest(record), 0.0), timeline)


def now_of(record: Record, clock: Clock) -> float:
    """The time by which the record counts: a pass must not see the clock being set."""
    return clock.on(record.timeline) if record.timeline is not None else clock()


def on_the_wall(moment: float, record: Record, clock: Clock) -> float:
    """A moment of the record's for the queue, which goes by the wall clock; never too early."""
    lead = clock() - now_of(record, clock)
    return moment + lead + ROUNDING if abs(lead) > NOTICED else moment


def by_record(moment: float, record: Record, clock: Clock) -> float:
    """A moment of the wall clock, as the record counts: :func:`on_the_wall` the other way round."""
    lead = clock() - now_of(record, clock)
    return moment - lead if abs(lead) > NOTICED else moment


def _latest(record: Record) -> float:
    """The last moment that the record knows of."""
    told = [record.clock_from, *record.step_started.values(), *(c.at for c in record.conditions)]
    return max([*told, *(event.at for event in record.events)])


def _move(record: Record, by: float, timeline: Timeline) -> Record:
    """Every moment that something is counted from, later by so much."""
    problem = record.problem
    return record.model_copy(
        update={
            "timeline": timeline,
            "clock_from": record.clock_from + by,
            "step_started": {name: at + by for name, at in record.step_started.items()},
            "attempt_not_before": _moved(record.attempt_not_before, by),
            "progress_at": _moved(record.progress_at, by),
            "problem": problem and problem.model_copy(update={"retry_at": _moved(problem.retry_at, by)}),
            "containers": {name: _move_container(found, by) for name, found in record.containers.items()},
        }
    )


def _move_container(record: ContainerRecord, by: float) -> ContainerRecord:
    """One that runs has run for as long as before; when one was started that has ended is history."""
    started = record.started_at
    if started is not None and record.result is None:
        started += by
    return record.model_copy(update={"not_before": _moved(record.not_before, by), "started_at": started})


def _moved(moment: float, by: float) -> float:
    """0 means never."""
    return moment + by if moment else 0.0
