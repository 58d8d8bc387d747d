"""The one thread that moves all containers' output into their files.

It waits for sockets, for files (whose changes one other thread of the process reports) and for times, and
gives each log a turn. It never waits for one of them: calls of the engine, which may, are made by a few
threads, and their results come back as commands.

What can go wrong: a log folder on a file system that hangs stops all logs, as it would stop each.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
import selectors
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from reconciler.controller.nodeservices.logs.log_copy import Call, LogCopy
from reconciler.controller.thread_pool import DaemonThreadPool
from reconciler.engines.protocol import Engine, LogSource
from reconciler.errors import EngineError

#: Threads that call the engine; a call is made where a container starts or ends, or its stream breaks.
CALL_WIDTH: Final = 4
#: Seconds until a log is tried again after an error of this program.
ERROR_RETRY: Final = 30.0

_log = structlog.get_logger(__name__)


class LogLoop:
    """See the module; every method may be called from any thread.

    Args:
        engine: is asked for the logs.
        clock: seconds; only differences of it are used.
        on_change: called, in the loop's thread, with a log whose state has changed.
    """

    def __init__(
        self, engine: Engine, *, clock: Callable[[], float], on_change: Callable[[LogCopy], None]
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._commands: list[Callable[[], None]] = []
        self._ready: set[LogCopy] = set()
        self._woken = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._pool = DaemonThreadPool(CALL_WIDTH, "log-call")
        # The rest is the thread's own.
        self._selector: selectors.BaseSelector | None = None
        self._wake_read, self._wake_write = -1, -1
        self._copies: set[LogCopy] = set()
        self._watched: dict[LogCopy, LogSource] = {}
        self._descriptors: dict[LogCopy, int] = {}
        self._polled: dict[LogCopy, int] = {}
        self._timers: list[tuple[float, int, LogCopy]] = []
        self._scheduled: dict[LogCopy, float] = {}
        self._order = itertools.count()

    def add(self, copy: LogCopy, change: Callable[[float], None]) -> bool:
        """Has the thread make a change to a log (it is given the time), and then move it on.

        Returns:
            False where the thread has ended.
        """

        def command() -> None:
            self._copies.add(copy)
            before = copy.state
            change(self._clock())
            if copy.state != before:
                self._on_change(copy)

        return self._submit(command, copy)

    def close(self, *, timeout: float) -> None:
        """Ends the thread within ``timeout`` seconds; what is not read yet stays unread."""
        with self._lock:
            self._closing = True
            thread = self._thread
        self._pool.shutdown()
        if thread is not None:
            self._wake()
            thread.join(timeout)

    # -- from any thread

    def _submit(self, command: Callable[[], None] | None, copy: LogCopy) -> bool:
        with self._lock:
            if self._closing:
                return False
            if command is not None:
                self._commands.append(command)
            self._ready.add(copy)
            if self._thread is None:
                self._start()
        self._wake()
        return True

    def _wake_for(self, copy: LogCopy) -> None:
        self._submit(None, copy)

    def _start(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def _wake(self) -> None:
        with self._lock:
            if self._woken or self._wake_write < 0:
                return
            self._woken = True
            with suppress(OSError):
                os.write(self._wake_write, b"x")

    # -- in the thread

    def _run(self) -> None:
        try:
            ready: set[LogCopy] = set()
            while not self._closing:
                ready = self._turn(ready)
        finally:
            self._end()

    def _turn(self, ready: set[LogCopy]) -> set[LogCopy]:
        """Waits until something is to be done, does it; returns what has more to do at once."""
        ready |= self._wait(0.0 if ready else self._seconds_to_next())
        with self._lock:
            commands, self._commands = self._commands, []
            ready |= self._ready
            self._ready = set()
        for command in commands:
            try:
                command()
            except Exception:  # noqa: BLE001  (the boundary of one log, as in _step)
                _log.exception("internal error", remedy="Please report it.")
        ready |= self._due(self._clock())
        return {copy for copy in ready if self._step(copy)}

    def _due(self, now: float) -> set[LogCopy]:
        found = set()
        while self._timers and self._timers[0][0] <= now:
            due, _, copy = heapq.heappop(self._timers)
            if self._scheduled.get(copy) == due:
                del self._scheduled[copy]
                if copy.due <= now:
                    found.add(copy)
                else:
                    self._schedule(copy)
        return found

    def _schedule(self, copy: LogCopy) -> None:
        """Sets an alarm; one that rings too early is set again then."""
        if copy.due < self._scheduled.get(copy, math.inf):
            self._scheduled[copy] = copy.due
            heapq.heappush(self._timers, (copy.due, next(self._order), copy))

    def _wait(self, seconds: float | None) -> set[LogCopy]:
        assert self._selector is not None  # noqa: S101  (for mypy)
        found = set()
        for key, _ in self._selector.select(seconds):
            if key.data is not None:
                found.add(key.data)
                continue
            with self._lock:
                self._woken = False
                with suppress(OSError):
                    os.read(self._wake_read, 64)
        return found

    def _seconds_to_next(self) -> float | None:
        return max(self._timers[0][0] - self._clock(), 0.0) if self._timers else None

    def _step(self, copy: LogCopy) -> bool:
        """Moves one log on; returns whether it has more to do at once."""
        now = self._clock()
        if copy.blocked and now < copy.due < math.inf:
            return False
        before = copy.state
        try:
            call = copy.step(self._engine, now)
            if call is not None:
                self._call(copy, call)
            self._watch(copy)
            if copy.state != before:
                self._on_change(copy)
        except Exception:  # noqa: BLE001  (see below)
            # The boundary of one log: without it all others would end with it.
            _log.exception("internal error", remedy="Please report it.")
            copy.due = now + ERROR_RETRY
        self._schedule(copy)
        if copy.done:
            self._copies.discard(copy)
        return copy.again

    def _call(self, copy: LogCopy, call: Call) -> None:
        def ask() -> None:
            result: object
            try:
                result = call()
            except EngineError as error:
                result = error
            except Exception:  # noqa: BLE001  (as in _step)
                _log.exception("internal error", remedy="Please report it.")
                result = EngineError("An error of this program.")
            if not self.add(copy, lambda now: copy.answer(result, now)) and hasattr(result, "close"):
                result.close()

        with suppress(RuntimeError):  # it is being closed
            self._pool.submit(ask)

    def _watch(self, copy: LogCopy) -> None:
        """Waits for what the log is read from now; for nothing while the disk takes nothing."""
        source = copy.source
        if self._watched.get(copy) is not source:
            self._poll(copy, None)
            self._watched.pop(copy, None)
            self._descriptors.pop(copy, None)
            if source is not None:
                self._watched[copy] = source
                descriptor = source.watch(lambda: self._wake_for(copy))
                if descriptor is not None:
                    self._descriptors[copy] = descriptor
                copy.again = True
        self._poll(copy, None if copy.blocked else self._descriptors.get(copy))

    def _poll(self, copy: LogCopy, descriptor: int | None) -> None:
        """Waits for this descriptor on behalf of the log, and for no other."""
        assert self._selector is not None  # noqa: S101  (for mypy)
        polled = self._polled.get(copy)
        if polled == descriptor:
            return
        if polled is not None:
            del self._polled[copy]
            with suppress(KeyError, ValueError, OSError):  # closed already
                self._selector.unregister(polled)
        if descriptor is not None:
            self._selector.register(descriptor, selectors.EVENT_READ, copy)
            self._polled[copy] = descriptor

    def _end(self) -> None:
        for copy in self._copies:
            copy.close()
        with self._lock:
            self._closing = True
            read, write, self._wake_write = self._wake_read, self._wake_write, -1
        if self._selector is not None:
            self._selector.close()
        os.close(read)
        os.close(write)
