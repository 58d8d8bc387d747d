"""Threads that do not keep the program from ending.

:class:`concurrent.futures.ThreadPoolExecutor` joins its threads when the interpreter ends: a daemon told to
stop would wait out every grace period of containers being stopped. What such a thread was doing is found
again by the next daemon; so these are daemon threads, and nobody waits for them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from reconciler.common import liveness

P = ParamSpec("P")
T = TypeVar("T")
_Task = tuple[Future[Any], Callable[[], Any]]


class _Awaited(Future[T]):
    """Waiting for its result is no idleness: the hands of the pool are looked at themselves."""

    def result(self, timeout: float | None = None) -> T:
        """As every future's."""
        with liveness.allow(liveness.WITHOUT_LIMIT, "waiting for a pool"):
            return super().result(timeout)


class DaemonPool(Executor):
    """An executor of at most ``width`` daemon threads, made as they are needed; first in, first out.

    Args:
        width: threads at most.
        name: of the threads.
    """

    def __init__(self, width: int, name: str) -> None:
        self._width = width
        self._name = name
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._threads = 0
        self._closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``fn(*args, **kwargs)`` called; its result is the future's.

        Raises:
            RuntimeError: the pool was shut down.
        """
        future: Future[T] = _Awaited()
        watch = liveness.of_this_thread()

        def call() -> T:
            if watch is None:
                return fn(*args, **kwargs)
            with watch.work(f"a hand of the pool {self._name}"):
                return fn(*args, **kwargs)

        with self._lock:
            if self._closed:
                raise RuntimeError("The pool was shut down.")
            self._tasks.put((future, call))
            if not self._idle.acquire(blocking=False) and self._threads < self._width:
                self._threads += 1
                name = f"{self._name}-{self._threads}"
                threading.Thread(target=self._work, name=name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Take no more; what has not begun is cancelled, what has is left alone: nobody waits."""
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
                except BaseException as error:  # noqa: BLE001  (it is the caller's, through the future)
                    future.set_exception(error)
                else:
                    future.set_result(result)
            del task, future, call
            self._idle.release()
