"""Collects the logs of all containers of one engine, one reader thread per container.

A container's log goes to one file per attempt (:mod:`reconciler.state.kept_logs`); the container that
replaces a failed one in the same attempt appends to it. Reading begins before the container starts, so the
output of a container that lives for a millisecond is kept.

What can go wrong: a container that somebody else removes takes its unread output with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from reconciler.controller.nodeservices.logs.log_files import tail
from reconciler.controller.nodeservices.logs.log_reader import LogReader
from reconciler.engines.protocol import Engine
from reconciler.state.kept_logs.log_folders import log_path_of
from reconciler.state.kept_logs.log_paths import LogLocation

#: How many containers with a complete log are remembered.
MAX_COMPLETED: Final = 4096


class LogCollector:
    """Reads every container's log into its file; every method may be called from any thread.

    Args:
        engine: the engine that runs the containers.
        log_dir: folder of all kept logs; created (0700) with the first log.
        clock: seconds; only differences of it are used.
    """

    def __init__(self, engine: Engine, log_dir: Path, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._log_dir = log_dir
        self._clock = clock
        self._lock = threading.Lock()
        self._readers: dict[str, LogReader] = {}
        #: When the containers with a complete log ended.
        self._completed: dict[str, float] = {}
        self._closing = threading.Event()

    def path(self, location: LogLocation) -> Path:
        """Returns the file of a container's log."""
        return log_path_of(location, self._log_dir)

    def follow(self, container_id: str, location: LogLocation) -> None:
        """Starts to read a container's log; call it between create and start, and while the container runs.

        Does nothing where a reader is running. Never blocks and never raises: problems are logged, and
        :meth:`finish` reads what is missing.
        """
        with self._lock:
            current = self._readers.get(container_id)
            if self._closing.is_set() or (current is not None and current.running):
                return
            reader = self._new_reader(container_id, location)
            if current is not None:
                # The container had ended and runs again (somebody started it by hand).
                reader.last_output_at = current.last_output_at
            self._readers[container_id] = reader
            reader.start()

    def finish(self, container_id: str, location: LogLocation, *, timeout: float) -> bool:
        """Ensures that an ended container's whole log is on disk; call it before the container is removed.

        Works without a preceding :meth:`follow`. A further call costs one inspect, unless the container has
        run since.

        Args:
            container_id: a container that has exited, or was never started.
            location: where its log goes.
            timeout: seconds to wait for the reader to reach the end by itself.

        Returns:
            False where not everything could be read or written; the reason is logged, and the file ends
            early.
        """
        with self._lock:
            reader = self._readers.pop(container_id, None)
            completed_at = self._completed.get(container_id)
        if reader is None:
            reader = self._new_reader(container_id, location)
        ended_at = reader.finish(timeout, completed_at=completed_at)
        if ended_at is not None:
            with self._lock:
                self._completed[container_id] = ended_at
                while len(self._completed) > MAX_COMPLETED:
                    del self._completed[next(iter(self._completed))]
        return ended_at is not None

    def wait_until_read(self, containers: Iterable[str], *, timeout: float) -> None:
        """Waits, ``timeout`` seconds in all, until the running readers have reached the containers' log ends.

        Containers without a running reader are skipped: nothing is read again.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            readers = [self._readers[each] for each in containers if each in self._readers]
        for reader in readers:
            reader.end_reached.wait(max(0.0, deadline - time.monotonic()))

    def seconds_since_output(self, container_id: str) -> float | None:
        """Returns how long ago the container last printed something; None while it has printed nothing."""
        with self._lock:
            reader = self._readers.get(container_id)
        last = reader.last_output_at if reader else None
        return self._clock() - last if last is not None else None

    def tail(self, location: LogLocation, lines: int) -> list[str]:
        """Returns the last lines of a kept log of that object (:func:`~.log_files.tail`)."""
        return tail(self.path(location), lines)

    def close(self, *, timeout: float = 5.0) -> None:
        """Stops all readers within ``timeout`` seconds; the next daemon continues where they stopped."""
        self._closing.set()
        with self._lock:
            readers = list(self._readers.values())
            self._readers.clear()
        for reader in readers:
            reader.stop()
        deadline = time.monotonic() + timeout
        for reader in readers:
            reader.join(max(0.0, deadline - time.monotonic()))

    def _new_reader(self, container_id: str, location: LogLocation) -> LogReader:
        return LogReader(
            self._engine,
            container_id,
            location=location,
            log_dir=self._log_dir,
            clock=self._clock,
            closing=self._closing,
        )
