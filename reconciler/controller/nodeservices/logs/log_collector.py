"""Collects the logs of all containers of one engine; one thread reads them all (:mod:`.log_loop`).

A container's log goes to one file per attempt (:mod:`reconciler.state.kept_logs`); the container that
replaces a failed one in the same attempt appends to it. The engine has the output until the container is
removed, so it does not matter when reading begins.

What can go wrong: a container that somebody else removes takes its unread output with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from reconciler.controller.nodeservices.logs.log_copy import LogCopy
from reconciler.controller.nodeservices.logs.log_files import LogFile, tail
from reconciler.controller.nodeservices.logs.log_loop import LogLoop
from reconciler.controller.statemachine.observation import LogState
from reconciler.engines.protocol import Engine
from reconciler.state.kept_logs.log_folders import log_path_of
from reconciler.state.kept_logs.log_paths import LogLocation

#: How many containers with a complete log are remembered.
MAX_COMPLETED: Final = 4096
_WHOLE: Final = LogState("whole")


class LogCollector:
    """Reads every container's log into its file.

    Every method may be called from any thread; none waits but :meth:`wait` and :meth:`close`.

    Args:
        engine: the engine that runs the containers.
        log_dir: folder of all kept logs; created (0700) with the first log.
        clock: seconds; only differences of it are used.
        on_change: called with ``namespace/name`` of the job where a log that was being read after its
            container's end is whole or lost, or cannot be written, or can again.
    """

    def __init__(
        self,
        engine: Engine,
        log_dir: Path,
        *,
        clock: Callable[[], float],
        on_change: Callable[[str], None] = lambda _key: None,
    ) -> None:
        self._log_dir = log_dir
        self._clock = clock
        self._on_change = on_change
        self._changed = threading.Condition()
        self._copies: dict[str, LogCopy] = {}
        #: When each container ended, as far as a pass has seen it.
        self._ends: dict[str, float] = {}
        #: When the containers ended whose log an earlier daemon has completed.
        self._found_whole: dict[str, float] = {}
        self._loop = LogLoop(engine, clock=clock, on_change=self._tell)

    def path(self, location: LogLocation) -> Path:
        """Returns the file of a container's log."""
        return log_path_of(location, self._log_dir)

    def follow(self, container_id: str, location: LogLocation) -> LogState:
        """Reads a container's log from now on, as it runs; where it is being read, does nothing.

        Returns:
            How far it is.
        """
        with self._changed:
            copy = self._copies.get(container_id)
            ended = self._ends.pop(container_id, None) is not None
            if copy is None:
                copy = self._add(container_id, location)
            elif not ended and not copy.done:
                return copy.state
        self._loop.add(copy, copy.note_start)
        return LogState("following", copy.state.problem)

    def finish(self, container_id: str, location: LogLocation, *, ended_at: float | None) -> LogState:
        """Completes the log of a container that has ended; to be called until it is whole.

        Works without a preceding :meth:`follow`.

        Args:
            container_id: a container that has exited.
            location: where its log goes.
            ended_at: seconds since the epoch; None where the engine does not know.

        Returns:
            How far it is.
        """
        ended_at = ended_at or 0.0
        if self._is_on_disk(container_id, location, ended_at):
            return _WHOLE
        with self._changed:
            copy = self._copies.get(container_id)
            noted = self._ends.get(container_id)
            if noted == ended_at and copy is not None:
                return copy.state if copy.ended_at == ended_at else LogState("reading", copy.state.problem)
            self._ends[container_id] = ended_at
            copy = copy or self._add(container_id, location)
            known = copy.state if copy.ended_at == ended_at else None
        if known is not None:
            return known
        self._loop.add(copy, lambda now: copy.note_end(ended_at, now))
        return LogState("reading", copy.state.problem)

    def was_completed(self, container_id: str, location: LogLocation) -> bool:
        """Returns whether a daemon has put the log of a container on disk to its end; looks at the disk."""
        return LogFile(location, self._log_dir, container_id).was_whole()

    def state(self, container_id: str) -> LogState | None:
        """Returns how far a log is that was asked for; None for others."""
        with self._changed:
            copy = self._copies.get(container_id)
        return copy.state if copy is not None else None

    def wait(self, containers: Iterable[str], *, timeout: float) -> None:
        """Waits, ``timeout`` seconds at most, while the logs of containers that have ended are being read."""
        containers = tuple(containers)
        with self._changed:
            self._changed.wait_for(lambda: not any(map(self._is_reading, containers)), timeout)

    def is_reading(self) -> bool:
        """Returns whether the log of any container that has ended is being read."""
        with self._changed:
            return any(map(self._is_reading, self._ends))

    def seconds_since_output(self, container_id: str) -> float | None:
        """Returns how long ago the container last printed something; None while it has printed nothing.

        0 while the disk takes nothing, as nothing is read then.
        """
        with self._changed:
            copy = self._copies.get(container_id)
        if copy is None or copy.last_output_at is None:
            return None
        return 0.0 if copy.blocked else self._clock() - copy.last_output_at

    def tail(self, location: LogLocation, lines: int) -> list[str]:
        """Returns the last lines of a kept log of that object (:func:`~.log_files.tail`)."""
        return tail(self.path(location), lines)

    def close(self, *, timeout: float = 5.0) -> None:
        """Stops reading within ``timeout`` seconds; the next daemon continues where this one stopped."""
        self._loop.close(timeout=timeout)

    def _add(self, container_id: str, location: LogLocation) -> LogCopy:
        copy = self._copies[container_id] = LogCopy(container_id, location, self._log_dir)
        if len(self._copies) > MAX_COMPLETED:
            for done in [one for one in self._copies.values() if one.done][: MAX_COMPLETED // 4]:
                del self._copies[done.container_id]
                self._ends.pop(done.container_id, None)
        return copy

    def _is_on_disk(self, container_id: str, location: LogLocation, ended_at: float) -> bool:
        """Whether an earlier daemon has completed it; looked at once for each container."""
        with self._changed:
            if container_id in self._copies:
                return False
            if self._found_whole.get(container_id) == ended_at:
                return True
        if not LogFile(location, self._log_dir, container_id).is_whole(ended_at):
            return False
        with self._changed:
            self._found_whole[container_id] = ended_at
            while len(self._found_whole) > MAX_COMPLETED:
                del self._found_whole[next(iter(self._found_whole))]
        return True

    def _is_reading(self, container_id: str) -> bool:
        copy, ended_at = self._copies.get(container_id), self._ends.get(container_id)
        if copy is None or ended_at is None:
            return False
        return copy.ended_at != ended_at or copy.state.progress == "reading"

    def _tell(self, copy: LogCopy) -> None:
        with self._changed:
            self._changed.notify_all()
            awaited = copy.container_id in self._ends
        news = copy.state.problem != copy.told_problem
        copy.told_problem = copy.state.problem
        if news or (awaited and copy.state.progress not in {"following", "reading"}):
            self._on_change(copy.key)
