"""The file of one container's log: always a prefix of what the engine has (see :mod:`.logs`).

Runs of one container in an attempt follow one another in a file; where each begins is kept beside it, in
``.<container>.log.json``: ``[[container id, first byte], ...]``. A run ends where the next begins, so nothing
is written down while a log grows, and a crash at any point leaves file and index true.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from reconciler.state.atomic_files import read_if_exists, write_atomically

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
#: A link in place of a log would have what a container prints written anywhere.
_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
#: How many of a log's first bytes tell it from one whose beginning was rotated away.
HEAD: Final = 1024
ROTATED: Final = b"[reconciler: the engine has dropped the beginning of this log; what it has left follows]\n"
#: How far from a file's end the line above is looked for.
LOOK_BACK: Final = 16 * 1024 * 1024
TAIL_BLOCK: Final = 64 * 1024

_log = structlog.get_logger(__name__)


class LogFile:
    """A log file of one container's run, and where in it that run begins."""

    def __init__(self, path: Path, log_dir: Path, container_id: str) -> None:
        self.path = path
        self._log_dir = log_dir
        self._id = container_id
        self._index = path.with_name(f".{path.name}.json")

    def size(self) -> int:
        """Bytes on disk, of all runs; 0 where there is no file."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def touch(self) -> None:
        """Make the file, empty, where there is none.

        Raises:
            OSError: it cannot be made (no space, no permission).
        """
        _make_folder(self.path.parent, self._log_dir)
        os.close(os.open(self.path, _OPEN, FILE_MODE))

    def writer(self, *, trusted: bool) -> LogWriter:
        """A writer that goes on where the file ends.

        Raises:
            OSError: the file cannot be opened (no space, no permission).
            StateError: where the run begins could not be kept.
        """
        _make_folder(self.path.parent, self._log_dir)
        fd = os.open(self.path, _OPEN, FILE_MODE)
        try:
            base, end = self._span(fd)
        except BaseException:
            os.close(fd)
            raise
        return LogWriter(fd, base, end, trusted=trusted)

    def _span(self, fd: int) -> tuple[int, int]:
        """Where this run's bytes begin and end so far."""
        size = os.fstat(fd).st_size
        runs = self._runs()
        for place, (run, base) in enumerate(runs):
            if run == self._id and base <= size:
                # Another run follows: this one has no room left, whatever more its log had.
                return base, base + sys.maxsize if place + 1 < len(runs) else size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            size += os.write(fd, b"\n")
        runs = [*(run for run in runs if run[0] != self._id and run[1] <= size), (self._id, size)]
        write_atomically(self._index, json.dumps(runs).encode(), mode=FILE_MODE, durable=False)
        return size, size

    def _runs(self) -> list[tuple[str, int]]:
        """Container ids and where each one's bytes begin, in order; empty when lost or damaged."""
        data = read_if_exists(self._index)
        if data is None:
            return []
        try:
            return [(str(run), int(base)) for run, base in json.loads(data)]
        except (ValueError, TypeError):
            _log.warning("index of a log is damaged; the log may hold lines twice", path=str(self._index))
            return []


class LogWriter:
    """Takes a log from its very beginning and writes only what the file lacks.

    Args:
        fd: of the file; closed by :meth:`close`.
        base: where the run's bytes begin.
        end: where they end so far.
        trusted: the file was followed to the end: a beginning that differs was rotated away since, and
            nothing is missing.
    """

    def __init__(self, fd: int, base: int, end: int, *, trusted: bool) -> None:
        self._trusted = trusted
        self._fd = fd
        self._base = base
        self._skip = end - base
        self._compare = 0 if self._skip == sys.maxsize else min(self._skip, HEAD)
        self._head = b""

    def feed(self, chunk: bytes) -> None:
        """The next bytes of the stream.

        Raises:
            OSError: the disk refused; what was written of the chunk stays.
        """
        if self._compare:
            self._head += chunk
            if len(self._head) < self._compare:
                return
            chunk = self._compared()
        self._write_new(chunk)

    def end(self) -> None:
        """The stream has ended: nothing is held back any more, and the file is brought to the disk.

        Raises:
            OSError: the disk refused.
        """
        if self._head:
            self._write_new(self._compared())
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _write_new(self, chunk: bytes) -> None:
        skipped = min(self._skip, len(chunk))
        self._skip -= skipped
        self._write(chunk[skipped:])

    def _compared(self) -> bytes:
        """The first bytes, held back so far, now that they can be compared with the file's."""
        whole, self._head = self._head, b""
        kept = os.pread(self._fd, self._compare, self._base)
        self._compare = 0
        if whole[: len(kept)] != kept[: len(whole)] and not self._marked_before(whole):
            self._skip = sys.maxsize if self._trusted else 0
            if not self._trusted:
                self._write(ROTATED)
        return whole

    def _marked_before(self, whole: bytes) -> bool:
        """Whether the file says already that the beginning is gone; then go on after that line's text."""
        size = os.fstat(self._fd).st_size
        start = max(self._base, size - LOOK_BACK)
        text = os.pread(self._fd, size - start, start)
        mark = text.rfind(ROTATED)
        after = text[mark + len(ROTATED) :] if mark >= 0 else b""
        if mark < 0 or whole[: min(len(after), len(whole))] != after[: len(whole)]:
            return False
        self._skip = len(after)
        return True

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log, for failure messages; empty when there is no such file.

    Of a line that overwrote itself (a progress bar's carriage returns) its last state; undecodable bytes
    are replaced. At most the last 64 KiB are looked at.

    Args:
        path: of the log.
        lines: how many at most.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - TAIL_BLOCK)
            file.seek(start)
            data = file.read(TAIL_BLOCK)
    except OSError:
        return []
    text = data.decode(errors="replace")
    split = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip("\n").split("\n")]
    if start and len(split) > 1:
        del split[0]
    return split[-lines:] if lines > 0 and text else []


def _make_folder(folder: Path, log_dir: Path) -> None:
    """Make ``folder`` and those above it up to ``log_dir``, for this user's eyes only."""
    missing = [path for path in (folder, *folder.parents) if path == log_dir or log_dir in path.parents]
    log_dir.parent.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        with suppress(FileExistsError):
            path.mkdir(mode=FOLDER_MODE)
        if path != log_dir and path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link, where a folder of logs should be", str(path))
