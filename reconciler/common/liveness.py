"""Whether the daemon's threads make progress: what each is doing, and how long it may take.

A service manager's watchdog is useful only when its pings come from the work itself. So every thread that
works for jobs names the task it has begun, and how long it may go without a sign. A sign is any step: a call
of the engine that begins or ends, a task that is done. Three things look alike from outside and are
distinguished here:

* *work outside the engine* (deciding, reading and writing files): milliseconds; a thread that gives no sign
  for ``work_limit`` seconds hangs, on a lock or on a file system that does not answer;
* *a call of the engine*: has its own limit, which the engine's client enforces (a stop waits out the grace
  period, an engine that hangs is given up after a minute): only one that outlasts its limit hangs;
* *waiting for others* (for a free thread of a pool): no limit, because those threads are watched themselves.

Threads without a task are not watched: idle workers, readers of logs, pulls of images, which may take any
time. What can go wrong: the computer sleeps; the monotonic clock stands still meanwhile.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

#: Seconds without any sign outside the engine's calls.
WORK_LIMIT: Final = 120.0
#: Seconds beyond a call's own limit until it counts as hanging.
CALL_MARGIN: Final = 30.0
NO_LIMIT: Final = math.inf
#: Seconds after which a call of the engine is told of to whoever waits for it.
SLOW_AFTER: Final = 10.0


@dataclass
class _Step:
    name: str
    limit: float
    since: float
    slow_after: float = math.inf


@dataclass(frozen=True)
class SlowStep:
    """A step that takes longer than usual.

    Attributes:
        about: what the task works for; "" for nothing in particular.
        name: of the step, as in ``a call of Podman to list containers``.
        seconds: so far.
    """

    about: str
    name: str
    seconds: float


@dataclass
class _Task:
    """What one thread is doing: the innermost step counts."""

    liveness: Liveness
    steps: list[_Step]
    about: str


_current = threading.local()


class Liveness:
    """Keeps the tasks of all threads; every method may be called from any thread.

    Args:
        work_limit: seconds a thread may go without a sign outside the engine's calls.
        clock: monotonic seconds.
    """

    def __init__(
        self, *, work_limit: float = WORK_LIMIT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.work_limit = work_limit
        self._clock = clock
        self._lock = threading.Lock()
        self._tasks: dict[int, _Task] = {}

    @contextmanager
    def track(self, name: str, *, about: str = "") -> Iterator[None]:
        """Watches the calling thread while the block runs; ``about``: what it works for."""
        outer = getattr(_current, "task", None)
        thread = threading.get_ident()
        task = _Task(self, [_Step(name, self.work_limit, self._clock())], about)
        _current.task = task
        with self._lock:
            self._tasks[thread] = task
        try:
            yield
        finally:
            _current.task = outer
            with self._lock:
                self._tasks.pop(thread, None)

    def overdue(self) -> list[str]:
        """Returns the steps that exceed their limit, each as ``the pass over default/demo for 130 s``."""
        now = self._clock()
        with self._lock:
            last = [task.steps[-1] for task in self._tasks.values()]
        return [f"{s.name} for {now - s.since:.0f} s" for s in last if now - s.since > s.limit]

    def slow(self) -> list[SlowStep]:
        """Returns the steps that take longer than usual, and are not overdue by that alone."""
        now = self._clock()
        with self._lock:
            last = [(task.about, task.steps[-1]) for task in self._tasks.values()]
        return [
            SlowStep(about, step.name, now - step.since)
            for about, step in last
            if now - step.since > step.slow_after
        ]

    @contextmanager
    def step(self, task: _Task, name: str, limit: float, slow_after: float) -> Iterator[None]:
        """See :func:`allow_time`: the end of a step is a sign, so the outer step's time begins again."""
        with self._lock:
            task.steps.append(_Step(name, limit, self._clock(), slow_after))
        try:
            yield
        finally:
            with self._lock:
                task.steps.pop()
                task.steps[-1].since = self._clock()


def current_liveness() -> Liveness | None:
    """Returns what watches the calling thread; None where it has no task."""
    task: _Task | None = getattr(_current, "task", None)
    return task.liveness if task is not None else None


def current_subject() -> str:
    """Returns what the calling thread works for; "" for nothing in particular."""
    task: _Task | None = getattr(_current, "task", None)
    return task.about if task is not None else ""


@contextmanager
def allow_time(seconds: float, name: str, *, slow_after: float = math.inf) -> Iterator[None]:
    """Lets the block take so many seconds, and :data:`CALL_MARGIN`, before it counts as hanging.

    After ``slow_after`` seconds it is among the slow ones. Without effect in a thread that has no task.
    """
    task: _Task | None = getattr(_current, "task", None)
    if task is None:
        yield
        return
    with task.liveness.step(task, name, seconds + CALL_MARGIN, slow_after):
        yield
