"""Threads for what waits on the engine: no job's tasks keep another's waiting, nor the program from ending.

A task that has run for long does nothing but wait (for an engine that hangs, for a grace period), so it no
longer counts against how many may run at a time, and another takes its place. Tasks of different jobs are
taken in turn, and one job has only so many at a time, however many of them hang.

:class:`concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter ends: a daemon that is
to stop would wait out every grace period of containers being stopped. What such a thread was doing the next
daemon finds again; so these are daemon threads, which the interpreter does not wait for.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from reconciler.common import liveness
from reconciler.errors import ReconcilerError

#: Seconds after which a task counts as waiting.
PATIENCE = 5.0

P = ParamSpec("P")
T = TypeVar("T")


class _PoolFuture(Future[T]):
    """Waiting for its result is no sign of a hang: the liveness of the pool's threads is tracked itself."""

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result."""
        with liveness.allow_time(liveness.NO_LIMIT, "waiting for a pool"):
            return super().result(timeout)


@dataclass(eq=False)
class _Task:
    """A call, and what it is for."""

    future: Future[Any]
    call: Callable[[], Any]
    subject: str
    started: float = math.inf


class DaemonThreadPool:
    """Runs tasks in daemon threads, made as they are needed; of one subject first in, first out.

    A task's subject, the job, is that of the thread that submits it (:mod:`reconciler.common.liveness`).

    Args:
        width: tasks that run at a time, those that have waited for :data:`PATIENCE` left out.
        name: of the threads.
        limit: threads at most; None: as ``width``.
        share: tasks of one subject that run at a time, also while they wait; None: any number.
        patience: seconds after which a task counts as waiting.
    """

    def __init__(
        self,
        width: int,
        name: str,
        *,
        limit: int | None = None,
        share: int | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._width = width
        self._name = name
        self._limit = limit or width
        self._share = share or self._limit
        self._patience = patience
        self._changed = threading.Condition()
        #: By subject; the first subject's turn is next.
        self._queued: dict[str, deque[_Task]] = {}
        self._running: set[_Task] = set()
        self._threads = 0
        self._made = 0
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn(*args, **kwargs)`` in a thread; the future has its result.

        Raises:
            RuntimeError: the pool was shut down.
            ReconcilerError: it has no thread, and none can be started.
        """
        future: Future[T] = _PoolFuture()
        tracker, subject = liveness.current_liveness(), liveness.current_subject()

        def call() -> T:
            if tracker is None:
                return fn(*args, **kwargs)
            with tracker.track(f"a thread of the pool {self._name}", about=subject):
                return fn(*args, **kwargs)

        with self._changed:
            if self._closed:
                raise RuntimeError("The pool was shut down.")
            self._queued.setdefault(subject, deque()).append(_Task(future, call, subject))
            try:
                self._keep_one_ready()
            except RuntimeError as error:
                # The limit of threads or processes: with others in the pool, one of them does it.
                if self._threads == 0:
                    future.cancel()
                    raise ReconcilerError(
                        f"No thread can be started: {error}.",
                        remedy="Allow more of them: ulimit -u, TasksMax= of the service.",
                    ) from error
            self._changed.notify()
        return future

    def shutdown(self) -> None:
        """Refuse further tasks and cancel those that have not begun; never waits for the others."""
        with self._changed:
            self._closed = True
            cancelled = [task for queue in self._queued.values() for task in queue]
            self._queued.clear()
            self._changed.notify_all()
        for task in cancelled:
            task.future.cancel()

    def _keep_one_ready(self) -> None:
        """Make a thread where none is free: one has to look out for when the next task may begin."""
        if self._threads == len(self._running) and self._threads < self._limit:
            self._threads += 1
            self._made += 1
            name = f"{self._name}-{self._made}"
            try:
                threading.Thread(target=self._work, name=name, daemon=True).start()
            except RuntimeError:
                self._threads -= 1
                raise

    def _work(self) -> None:
        while (task := self._next()) is not None:
            if task.future.set_running_or_notify_cancel():
                try:
                    result = task.call()
                except BaseException as error:  # noqa: BLE001  (the caller gets it from the future)
                    task.future.set_exception(error)
                else:
                    task.future.set_result(result)
            with self._changed:
                self._running.discard(task)
                self._changed.notify()
            del task

    def _next(self) -> _Task | None:
        """The next task, waited for; None where the thread is to end."""
        with self._changed:
            while (task := self._take()) is None:
                free = self._threads - len(self._running)
                if self._closed or (free > self._width and not self._queued):
                    self._threads -= 1
                    return None
                self._changed.wait(self._until_next())
            task.started = time.monotonic()
            self._running.add(task)
            if self._queued:
                with suppress(RuntimeError):  # the limit of threads: those that there are do it
                    self._keep_one_ready()
                self._changed.notify()
            return task

    def _take(self) -> _Task | None:
        """A task that may begin now, of the subject whose turn it is."""
        now = time.monotonic()
        if sum(now - task.started < self._patience for task in self._running) >= self._width:
            return None
        for subject, queue in list(self._queued.items()):
            if sum(task.subject == subject for task in self._running) < self._share:
                task = queue.popleft()
                del self._queued[subject]
                if queue:
                    self._queued[subject] = queue
                return task
        return None

    def _until_next(self) -> float | None:
        """Seconds until a running task counts as waiting; None where nothing waits for that."""
        if not self._queued:
            return None
        now = time.monotonic()
        left = [task.started + self._patience - now for task in self._running]
        return min((seconds for seconds in left if seconds > 0), default=None)
