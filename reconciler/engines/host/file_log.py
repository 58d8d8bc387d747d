"""A container's output in a file of this host, read as it grows: by a thread of its own, or by one for many.

The kernel notifies of changes; where it does not, and for an end that changes no file, there is a poll.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from reconciler.common.os_errors import reason_of
from reconciler.engines.host.file_watch import FileWatch
from reconciler.engines.protocol import LogSource
from reconciler.errors import EngineError

#: Seconds between polls of a quiet file where the kernel notifies of nothing: soon after the last output,
#: then longer; where it does, only as a safety net.
SHORTEST_PAUSE: Final = 0.03
LONGEST_PAUSE: Final = 0.25
LONGEST_PAUSE_NOTIFIED: Final = 10.0


class FileLog(ABC):
    """The output (a :class:`~reconciler.engines.protocol.LogStream` and a ``LogSource``).

    Args:
        path: of the file.
        follow: wait for more until nothing more can come.
    """

    #: Seconds between polls, at most, of a thread that waits for this file alone.
    longest_pause = LONGEST_PAUSE_NOTIFIED
    exact = True

    def __init__(self, path: Path, *, follow: bool) -> None:
        self._path = path
        self._follow = follow
        self._closed = threading.Event()
        self._watch: FileWatch | None = None
        self._on_change: Callable[[], None] | None = None

    @abstractmethod
    def _take(self) -> bytes:
        """Returns what was written since the last call; empty for nothing."""

    @abstractmethod
    def _may_grow(self) -> bool:
        """Returns whether somebody may still write."""

    @abstractmethod
    def _release(self) -> None:
        """Closes the file; called once or more."""

    @property
    def poll_seconds(self) -> float:
        """Seconds after which it is read again without a change."""
        return (
            LONGEST_PAUSE_NOTIFIED if self._watch is not None and self._watch.is_notified else LONGEST_PAUSE
        )

    def read(self) -> bytes | None:
        """Returns what there is now; None: nothing, and more may come; ``b""``: the end.

        Raises:
            EngineError: the file cannot be read.
        """
        try:
            if data := self._take():
                return data
            if self._follow and self._may_grow():
                return None
            # What was written between the look and the end.
            return self._take()
        except OSError as error:
            raise EngineError(f"The log {self._path} cannot be read: {reason_of(error)}.") from error

    def watch(self, changed: Callable[[], None]) -> int | None:
        """Calls ``changed`` at each change from now on."""
        self._on_change = changed
        self._watch = FileWatch(self._path, changed) if self._follow else None
        return None

    def open_rest(self) -> LogSource | None:
        """Returns nothing: the file is read to its end."""
        return None

    def wake(self) -> None:
        """Makes a waiting reader read now, from any thread."""
        if (watch := self._watch) is not None:
            watch.wake()

    def close(self) -> None:
        """Ends the reading; of an iteration, from any thread."""
        self._closed.set()
        self.wake()
        if self._on_change is not None:
            self._end()

    def __iter__(self) -> Iterator[bytes]:
        watch = self._watch = FileWatch(self._path) if self._follow else None
        pause = SHORTEST_PAUSE
        try:
            while not self._closed.is_set():
                if watch is not None:
                    watch.clear()
                    if self._closed.is_set():
                        return
                data = self.read()
                if data:
                    pause = SHORTEST_PAUSE
                    yield data
                elif data is not None or watch is None:
                    return
                elif watch.wait(pause):
                    pause = SHORTEST_PAUSE
                else:
                    longest = self.longest_pause if watch.is_notified else LONGEST_PAUSE
                    pause = min(pause * 1.5, longest)
                watch = self._watch
        finally:
            self._end()

    def _watch_again(self) -> None:
        """The file at this path is another one now."""
        if self._watch is not None:
            self._watch.close()
            self._watch = FileWatch(self._path, self._on_change)
            self._watch.wake()

    def _end(self) -> None:
        self._release()
        if self._watch is not None:
            self._watch.close()
