"""Streams that another thread may close: a container's log, and the events of all.

Logs are plain files, read as they grow: the kernel tells when; where it does not, by a look every 50 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from reconciler.engines.host.file_growth import Growth
from reconciler.engines.protocol import EngineEvent

_LOOK: Final = 0.05
#: Seconds between looks where the kernel tells of changes: an end need not change the file.
_TO_BE_SURE: Final = 2.0
_CHUNK: Final = 64 * 1024


class FileLog:
    """Bytes of a log file from its beginning, or from its last ``tail`` lines.

    Args:
        path: of the log.
        follow: wait for more until ``ended``.
        tail: lines; None is all.
        ended: whether nothing will be written any more.
    """

    def __init__(self, path: Path, *, follow: bool, tail: int | None, ended: Callable[[], bool]) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._ended = ended
        self._growth = Growth(path) if follow else None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        if tail is not None:
            os.lseek(self._fd, _tail_offset(self._fd, tail), os.SEEK_SET)

    def __iter__(self) -> Iterator[bytes]:
        growth = self._growth
        last = growth is None
        pause = _LOOK
        try:
            while not self._closed.is_set():
                if growth is not None:
                    growth.expect()
                    if self._closed.is_set():
                        return
                if data := os.read(self._fd, _CHUNK):
                    pause = _LOOK
                    yield data
                elif last or growth is None:
                    return
                elif self._over():
                    last = True  # what was written before the end is still to be read
                elif growth.wait(pause) or not growth.told:
                    pause = _LOOK
                else:
                    pause = min(pause * 1.5, _TO_BE_SURE)
        finally:
            self._release()

    def _over(self) -> bool:
        return os.fstat(self._fd).st_nlink == 0 or self._ended()

    def _release(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
                if self._growth is not None:
                    self._growth.close()

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._closed.set()
        if self._growth is not None:
            self._growth.wake()

    def __del__(self) -> None:
        self._release()


def _tail_offset(fd: int, lines: int) -> int:
    """Where the last ``lines`` lines begin; an unfinished last line counts as one."""
    end = position = os.fstat(fd).st_size
    if lines <= 0 or end == 0:
        return end
    wanted = lines if os.pread(fd, 1, end - 1) != b"\n" else lines + 1
    while position > 0:
        size = min(_CHUNK, position)
        position -= size
        block = os.pread(fd, size, position)
        found = block.count(b"\n")
        if found >= wanted:
            at = size
            for _ in range(wanted):
                at = block.rindex(b"\n", 0, at)
            return position + at + 1
        wanted -= found
    return 0


class Events:
    """Events of containers and networks from now on, through a named pipe of its own.

    Args:
        folder: where followers' pipes are.
        key: unique name of this follower.
        labels_of: labels of a container by name, for events too long to carry them.
    """

    def __init__(self, folder: Path, *, key: str, labels_of: Callable[[str], Mapping[str, str]]) -> None:
        self._path = folder / key
        self._labels_of = labels_of
        hidden = folder / f".{key}"
        os.mkfifo(hidden, 0o600)
        # For reading and writing: so it never ends when the last writer leaves.
        self._fd = os.open(hidden, os.O_RDWR | os.O_NONBLOCK)
        hidden.rename(self._path)  # only now may others find it: one that nobody reads they would remove
        self._wake_read, self._wake_write = os.pipe()
        self._lock = threading.Lock()
        self._open = True
        self._iterating = False

    def __iter__(self) -> Iterator[EngineEvent]:
        with self._lock:
            if not self._open:
                return
            self._iterating = True
        try:
            yield from self._events()
        finally:
            with self._lock:
                self._iterating = False
                self._open = False
                self._release()

    def _events(self) -> Iterator[EngineEvent]:
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._fd, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._wake_read in ready:
                    return
                with contextlib.suppress(BlockingIOError):
                    *lines, rest = (rest + os.read(self._fd, _CHUNK)).split(b"\n")
                    for line in lines:
                        yield self._event(json.loads(line))

    def _event(self, facts: dict[str, Any]) -> EngineEvent:
        labels = facts.get("labels")
        return EngineEvent(
            kind=facts["kind"],
            action=facts["action"],
            name=facts["name"],
            labels=self._labels_of(facts["name"]) if labels is None else labels,
        )

    def _release(self) -> None:
        self._path.unlink(missing_ok=True)
        for fd in (self._fd, self._wake_read, self._wake_write):
            if fd >= 0:
                os.close(fd)
        self._fd = self._wake_read = self._wake_write = -1

    def close(self) -> None:
        """End the iteration, from any thread."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            if self._iterating:
                os.write(self._wake_write, b"x")
            else:
                self._release()
