"""Whether the work goes on: what each working thread is at, and until when that is no cause for worry.

A service manager's watchdog is worth something only when its pings come from the work itself. So every
thread that works for jobs says what it has taken up, and for how long it may go without a sign. A sign is any
step: a call of the engine that begins or ends, a piece of work that is done. Three things look alike from
outside and are told apart here:

* *work outside the engine* (deciding, reading and writing files): milliseconds; a thread that gives no sign
  for ``patience`` hangs, on a lock or on a file system that does not answer;
* *a call of the engine*: has its own limit, which the engine's client enforces (a stop waits out the grace
  period, an engine that hangs is given up after a minute): only one that outlasts its limit hangs;
* *waiting for others* (for a free hand of a pool): no limit, because those others are looked at themselves.

Threads that took nothing up are not looked at: idle workers, readers of logs, pulls of images, which may take
as long as they like. What can go wrong: a computer that sleeps; the monotonic clock stands still meanwhile.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

#: Seconds without any sign outside the engine's calls.
PATIENCE: Final = 120.0
#: Seconds beyond a call's own limit until it counts as hanging.
MARGIN: Final = 30.0
#: "As long as it takes".
WITHOUT_LIMIT: Final = math.inf


@dataclass
class _Step:
    what: str
    allowance: float
    since: float


@dataclass
class _Occupation:
    """What one thread is at: the innermost step counts."""

    liveness: Liveness
    steps: list[_Step] = field(default_factory=list)


_here = threading.local()


class Liveness:
    """The threads at work; every method may be called from any thread.

    Args:
        patience: see the module.
        clock: monotonic seconds.
    """

    def __init__(self, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self.patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._occupations: dict[int, _Occupation] = {}

    @contextmanager
    def work(self, what: str) -> Iterator[None]:
        """The calling thread takes up a piece of work."""
        before = getattr(_here, "occupation", None)
        thread = threading.get_ident()
        occupation = _Occupation(self, [_Step(what, self.patience, self._clock())])
        _here.occupation = occupation
        with self._lock:
            self._occupations[thread] = occupation
        try:
            yield
        finally:
            _here.occupation = before
            with self._lock:
                self._occupations.pop(thread, None)

    def overdue(self) -> list[str]:
        """What gives no sign any more, each as ``the pass over default/demo for 130 s``."""
        now = self._clock()
        with self._lock:
            last = [occupation.steps[-1] for occupation in self._occupations.values()]
        return [f"{s.what} for {now - s.since:.0f} s" for s in last if now - s.since > s.allowance]

    def enter(self, occupation: _Occupation, what: str, allowance: float) -> None:
        """See :func:`allow`."""
        with self._lock:
            occupation.steps.append(_Step(what, allowance, self._clock()))

    def leave(self, occupation: _Occupation) -> None:
        """See :func:`allow`: the step around it goes on from here, which is a sign."""
        with self._lock:
            occupation.steps.pop()
            occupation.steps[-1].since = self._clock()


def of_this_thread() -> Liveness | None:
    """Who looks after the calling thread's present work; None where it has taken up none."""
    occupation: _Occupation | None = getattr(_here, "occupation", None)
    return occupation.liveness if occupation is not None else None


@contextmanager
def allow(seconds: float, what: str) -> Iterator[None]:
    """What follows may take so long, and :data:`MARGIN`, without being taken for hanging.

    Without effect in a thread that has taken up no work.
    """
    occupation: _Occupation | None = getattr(_here, "occupation", None)
    if occupation is None:
        yield
        return
    occupation.liveness.enter(occupation, what, seconds + MARGIN)
    try:
        yield
    finally:
        occupation.liveness.leave(occupation)
