"""Threads that do not keep the program from ending.

:class:`concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter ends: a daemon that is
to stop would wait out every grace period of containers being stopped. What such a thread was doing the next
daemon finds again; so these are daemon threads, which the interpreter does not wait for.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from reconciler.common import liveness
from reconciler.errors import ReconcilerError

P = ParamSpec("P")
T = TypeVar("T")
_Task = tuple[Future[Any], Callable[[], Any]]


class _PoolFuture(Future[T]):
    """Waiting for its result is no sign of a hang: the liveness of the pool's threads is tracked itself."""

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result."""
        with liveness.allow_time(liveness.NO_LIMIT, "waiting for a pool"):
            return super().result(timeout)


class DaemonThreadPool:
    """Runs tasks in at most ``width`` daemon threads, made as they are needed; first in, first out."""

    def __init__(self, width: int, name: str) -> None:
        self._width = width
        self._name = name
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads = 0
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call ``fn(*args, **kwargs)`` in a thread; the future has its result.

        Raises:
            RuntimeError: the pool was shut down.
            ReconcilerError: it has no thread, and none can be started.
        """
        future: Future[T] = _PoolFuture()
        tracker = liveness.current_liveness()

        def call() -> T:
            if tracker is None:
                return fn(*args, **kwargs)
            with tracker.track(f"a thread of the pool {self._name}"):
                return fn(*args, **kwargs)

        with self._lock:
            if self._closed:
                raise RuntimeError("The pool was shut down.")
            self._tasks.put((future, call))
            if not self._idle.acquire(blocking=False) and self._threads < self._width:
                self._threads += 1
                name = f"{self._name}-{self._threads}"
                try:
                    threading.Thread(target=self._work, name=name, daemon=True).start()
                except RuntimeError as error:
                    # The limit of threads or processes: with others in the pool, one of them does it.
                    self._threads -= 1
                    if self._threads == 0:
                        future.cancel()
                        raise ReconcilerError(
                            f"No thread can be started: {error}.",
                            remedy="Allow more of them: ulimit -u, TasksMax= of the service.",
                        ) from error
        return future

    def shutdown(self) -> None:
        """Refuse further tasks and cancel those that have not begun; never waits for the others."""
        with self._lock:
            self._closed = True
            while True:
                try:
                    task = self._tasks.get_nowait()
                except queue.Empty:
                    break
                if task is not None:
                    task[0].cancel()
            for _ in range(self._threads):
                self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, call = task
            if future.set_running_or_notify_cancel():
                try:
                    result = call()
                except BaseException as error:  # noqa: BLE001  (the caller gets it from the future)
                    future.set_exception(error)
                else:
                    future.set_result(result)
            del task, future, call
            self._idle.release()
