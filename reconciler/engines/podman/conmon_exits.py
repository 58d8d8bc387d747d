"""Watches for exits of a local Podman's containers through conmon, before Podman's events report them.

Podman 4's events come from a file that it polls four times a second, and the clean-up that begins meanwhile
holds the container for some tenths of a second, so that a listing after the event waits for it. conmon writes
a container's exit status into a folder at once: a listing at that moment is answered at once.

A hint like every event: what can go wrong (no inotify, a Podman that keeps its exits elsewhere, a container
whose output nobody follows) leaves Podman's own event, later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from reconciler.engines.host.file_watch import FileWatch
from reconciler.engines.podman.podman_logs import LogFile
from reconciler.engines.protocol import EngineEvent, EventStream
from reconciler.errors import EngineError

#: Seconds between two polls without a change: for containers that were removed before a poll saw their exit.
_POLL_SECONDS: Final = 60.0


class ConmonExitWatcher:
    """The exits of the containers that are watched; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[LogFile, list[tuple[EngineEvent, Callable[[], None]]]] = {}
        self._streams: list[EventsWithExits] = []
        #: While there are containers to watch; with the folder it is of.
        self._file_watch: tuple[Path, FileWatch] | None = None

    def watch(self, file: LogFile, event: EngineEvent, wake: Callable[[], None]) -> None:
        """Watches a container; at its exit sends ``event`` to all streams and calls ``wake``."""
        folder = file.exit_dir()
        if folder is None or not folder.is_dir():
            return
        with self._lock:
            if self._file_watch is None:
                self._file_watch = folder, FileWatch(folder)
                threading.Thread(target=self._run, name="conmon-exits", daemon=True).start()
            watched, file_watch = self._file_watch
            if watched == folder:
                self._watched.setdefault(file, []).append((event, wake))
        # It may have exited before it was watched.
        file_watch.wake()

    def add_exits(self, stream: EventStream) -> EventsWithExits:
        """Returns the engine's events together with the exits seen here."""
        joined = EventsWithExits(stream, self)
        with self._lock:
            self._streams.append(joined)
        return joined

    def remove_stream(self, stream: EventsWithExits) -> None:
        """Sends no more exits to the stream."""
        with self._lock:
            if stream in self._streams:
                self._streams.remove(stream)

    def close(self) -> None:
        """Stops watching."""
        with self._lock:
            self._watched.clear()
            if self._file_watch is not None:
                self._file_watch[1].wake()

    def _run(self) -> None:
        """The thread that lives as long as any container is watched."""
        while (file_watch := self._still_needed()) is not None:
            file_watch.clear()
            for event, wakes in self._exited():
                with self._lock:
                    streams = list(self._streams)
                for stream in streams:
                    stream.put(event)
                for wake in wakes:
                    wake()
            if self._watched:
                file_watch.wait(_POLL_SECONDS)

    def _still_needed(self) -> FileWatch | None:
        """Returns the watch on the folder; closes it where no container is watched any more."""
        with self._lock:
            if self._file_watch is None:
                return None
            _, file_watch = self._file_watch
            if self._watched:
                return file_watch
            file_watch.close()
            self._file_watch = None
            return None

    def _exited(self) -> list[tuple[EngineEvent, list[Callable[[], None]]]]:
        with self._lock:
            files = list(self._watched)
        found = []
        for file in [file for file in files if not file.is_written()]:
            with self._lock:
                followers = self._watched.pop(file, [])
            found += [(followers[0][0], [wake for _, wake in followers])] if followers else []
        return found


class EventsWithExits:
    """An engine's events and the exits from conmon (an :class:`~reconciler.engines.protocol.EventStream`)."""

    def __init__(self, stream: EventStream, watcher: ConmonExitWatcher) -> None:
        self._stream = stream
        self._watcher = watcher
        #: None: the engine's stream has ended; an error: it broke.
        self._queue: SimpleQueue[EngineEvent | EngineError | None] = SimpleQueue()

    def put(self, event: EngineEvent) -> None:
        """Adds an exit."""
        self._queue.put(event)

    def close(self) -> None:
        """Ends the iteration, from any thread."""
        self._stream.close()
        self._queue.put(None)

    def __iter__(self) -> Iterator[EngineEvent]:
        threading.Thread(target=self._read, name="engine-event-stream", daemon=True).start()
        try:
            while (item := self._queue.get()) is not None:
                if isinstance(item, EngineError):
                    raise item
                yield item
        finally:
            self._watcher.remove_stream(self)

    def _read(self) -> None:
        try:
            for event in self._stream:
                self._queue.put(event)
        except EngineError as error:
            self._queue.put(error)
        finally:
            self._queue.put(None)
