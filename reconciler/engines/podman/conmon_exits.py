"""Hears of a local Podman's ends from conmon, before Podman tells of them.

Podman 4's events come by a look at a file four times a second, and the clean-up that begins meanwhile holds
the container for some tenths of a second, so that a listing that the event brings about waits for it. conmon
writes a container's exit status into a folder at once: whoever lists then is answered at once.

A hint like every event: what can go wrong (no inotify, a Podman that keeps its exits elsewhere, a container
whose output nobody follows) leaves the event, later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from reconciler.engines.host.file_growth import Growth
from reconciler.engines.podman.podman_logs import LogFile
from reconciler.engines.protocol import EngineEvent, EventStream
from reconciler.errors import EngineError

#: Seconds between two looks without a change: for containers that were removed before anybody looked.
_SELDOM: Final = 60.0


class Exits:
    """The ends of the containers that are watched; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[LogFile, list[tuple[EngineEvent, Callable[[], None]]]] = {}
        self._streams: list[WithExits] = []
        #: While there are containers to watch, with the folder that it is of.
        self._growth: tuple[Path, Growth] | None = None

    def watch(self, file: LogFile, event: EngineEvent, look: Callable[[], None]) -> None:
        """Tell of a container's end by this event, and its follower to look."""
        folder = file.exits()
        if folder is None or not folder.is_dir():
            return
        with self._lock:
            if self._growth is None:
                self._growth = folder, Growth(folder)
                threading.Thread(target=self._run, name="engine-exits", daemon=True).start()
            watched, growth = self._growth
            if watched == folder:
                self._watched.setdefault(file, []).append((event, look))
        # It may have ended before it was watched.
        growth.wake()

    def joined(self, stream: EventStream) -> WithExits:
        """The engine's events together with these."""
        joined = WithExits(stream, self)
        with self._lock:
            self._streams.append(joined)
        return joined

    def leave(self, stream: WithExits) -> None:
        """The stream is told no more."""
        with self._lock:
            if stream in self._streams:
                self._streams.remove(stream)

    def close(self) -> None:
        """Watch no more."""
        with self._lock:
            self._watched.clear()
            if self._growth is not None:
                self._growth[1].wake()

    def _run(self) -> None:
        """A thread for as long as anything is watched."""
        while (watching := self._still()) is not None:
            _, growth = watching
            growth.expect()
            for event, looks in self._ended():
                with self._lock:
                    streams = list(self._streams)
                for stream in streams:
                    stream.put(event)
                for look in looks:
                    look()
            if self._watched:
                growth.wait(_SELDOM)

    def _still(self) -> tuple[Path, Growth] | None:
        with self._lock:
            watching = self._growth
            if watching is not None and not self._watched:
                watching[1].close()
                watching = self._growth = None
            return watching

    def _ended(self) -> list[tuple[EngineEvent, list[Callable[[], None]]]]:
        with self._lock:
            files = list(self._watched)
        found = []
        for file in [file for file in files if not file.writing()]:
            with self._lock:
                followers = self._watched.pop(file, [])
            found += [(followers[0][0], [look for _, look in followers])] if followers else []
        return found


class WithExits:
    """An engine's events and the ends that are heard of besides (an :class:`EventStream`)."""

    def __init__(self, stream: EventStream, exits: Exits) -> None:
        self._stream = stream
        self._exits = exits
        #: None: the engine's stream has ended; an error: so has this.
        self._queue: SimpleQueue[EngineEvent | EngineError | None] = SimpleQueue()

    def put(self, event: EngineEvent) -> None:
        """An end that was heard of."""
        self._queue.put(event)

    def close(self) -> None:
        """End the iteration, from any thread."""
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
            self._exits.leave(self)

    def _read(self) -> None:
        try:
            for event in self._stream:
                self._queue.put(event)
        except EngineError as error:
            self._queue.put(error)
        finally:
            self._queue.put(None)
