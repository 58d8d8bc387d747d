"""A container's log as a stream: a plain file, read as it grows, that another thread may close.

The kernel notifies of changes; where it does not, the file is polled every 50 ms.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from reconciler.engines.host.file_watch import FileWatch

_POLL: Final = 0.05
#: Seconds between polls where the kernel notifies of changes: an exit need not change the file.
_MAX_POLL: Final = 2.0
_CHUNK: Final = 64 * 1024


class ContainerLog:
    """Bytes of a log file from its beginning, or from its last ``tail`` lines.

    Args:
        path: of the log.
        follow: wait for more until ``has_ended``.
        tail: lines; None is all.
        has_ended: whether nothing will be written any more.
    """

    def __init__(self, path: Path, *, follow: bool, tail: int | None, has_ended: Callable[[], bool]) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        self._has_ended = has_ended
        self._watch = FileWatch(path) if follow else None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        if tail is not None:
            os.lseek(self._fd, _find_tail(self._fd, tail), os.SEEK_SET)

    def __iter__(self) -> Iterator[bytes]:
        watch = self._watch
        last = watch is None
        pause = _POLL
        try:
            while not self._closed.is_set():
                if watch is not None:
                    watch.clear()
                    if self._closed.is_set():
                        return
                if data := os.read(self._fd, _CHUNK):
                    pause = _POLL
                    yield data
                elif last or watch is None:
                    return
                elif os.fstat(self._fd).st_nlink == 0 or self._has_ended():
                    last = True  # what was written before the end is still to be read
                elif watch.wait(pause) or not watch.is_notified:
                    pause = _POLL
                else:
                    pause = min(pause * 1.5, _MAX_POLL)
        finally:
            self._release()

    def _release(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
                if self._watch is not None:
                    self._watch.close()

    def close(self) -> None:
        """Ends the iteration, from any thread."""
        self._closed.set()
        if self._watch is not None:
            self._watch.wake()

    def __del__(self) -> None:
        self._release()


def _find_tail(fd: int, lines: int) -> int:
    """Returns where the last ``lines`` lines begin; an unfinished last line counts as one."""
    end = position = os.fstat(fd).st_size
    if lines <= 0 or end == 0:
        return end
    missing = lines if os.pread(fd, 1, end - 1) != b"\n" else lines + 1
    while position > 0:
        size = min(_CHUNK, position)
        position -= size
        block = os.pread(fd, size, position)
        found = block.count(b"\n")
        if found >= missing:
            at = size
            for _ in range(missing):
                at = block.rindex(b"\n", 0, at)
            return position + at + 1
        missing -= found
    return 0
