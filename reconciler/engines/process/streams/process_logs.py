"""A container's log: a plain file, read as it grows (:mod:`~reconciler.engines.host.file_log`)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from reconciler.engines.host.file_log import FileLog

_CHUNK: Final = 256 * 1024


class ContainerLog(FileLog):
    """Bytes of a log file from its beginning, or from its last ``tail`` lines.

    Args:
        path: of the log.
        follow: wait for more until ``has_ended``.
        tail: lines; None is all.
        has_ended: whether nothing will be written any more.
    """

    #: An exit need not change the file.
    longest_pause = 2.0

    def __init__(self, path: Path, *, follow: bool, tail: int | None, has_ended: Callable[[], bool]) -> None:
        self._fd = os.open(path, os.O_RDONLY)
        super().__init__(path, follow=follow)
        self._has_ended = has_ended
        self._lock = threading.Lock()
        if tail is not None:
            os.lseek(self._fd, _find_tail(self._fd, tail), os.SEEK_SET)

    def _take(self) -> bytes:
        return os.read(self._fd, _CHUNK)

    def _may_grow(self) -> bool:
        return os.fstat(self._fd).st_nlink > 0 and not self._has_ended()

    def _release(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def __del__(self) -> None:
        if hasattr(self, "_lock"):
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
