"""The kept log file of a container: how it is written, continued, and read at its end.

A file is always a prefix of the log that the engine has (see :mod:`.log_copy`). The runs of one container
in an attempt follow one another in the file; where each begins is kept beside it, in
``.<container>.log.json``: ``[[container id, first byte], ...]``. A run ends where the next begins, so the
index does not change while a log grows, and a crash at any point leaves file and index true. A run that is
whole is followed by an entry ``[<container id>@<end>, size]``: the next daemon need not read it again.
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

from reconciler.common.regular_files import UnfitFileError, describe_unfit, open_regular_stream
from reconciler.state.atomic_files import read_if_exists, write_atomically
from reconciler.state.kept_logs.log_folders import FILE_MODE, log_path_of, prepare_folder
from reconciler.state.kept_logs.log_paths import LogLocation

#: O_NOFOLLOW: a symbolic link in place of a log would have a container's output written anywhere.
_OPEN: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
#: How many of a log's first bytes are compared to detect that the engine has rotated its beginning away.
COMPARED_BYTES: Final = 1024
ROTATED: Final = b"[reconciler: the engine has dropped the beginning of this log; what it has left follows]\n"
#: How far before a file's end the line above is searched for.
MARKER_SEARCH_BYTES: Final = 16 * 1024 * 1024
#: How much of a file's end :func:`tail` reads.
TAIL_BYTES: Final = 64 * 1024

_log = structlog.get_logger(__name__)


class LogFile:
    """The log file of one run of a container; knows where in the file the run begins."""

    def __init__(self, location: LogLocation, log_dir: Path, container_id: str) -> None:
        self._location = location
        self._log_dir = log_dir
        self._id = container_id

    @property
    def path(self) -> Path:
        """The file: of the object that the container is of, whatever has become of its folder."""
        return log_path_of(self._location, self._log_dir)

    @property
    def _index(self) -> Path:
        path = self.path
        return path.with_name(f".{path.name}.json")

    def size(self) -> int:
        """Returns the bytes on disk, of all runs; 0 where there is no file."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def touch(self) -> None:
        """Creates the file, empty, where there is none.

        Raises:
            OSError: the file cannot be created (no space, no permission).
        """
        os.close(self._open())

    def is_whole(self, ended_at: float) -> bool:
        """Returns whether the run that ended then (seconds since the epoch) is on disk to its end."""
        mark = self._end_mark(ended_at)
        return any(run == mark and end <= self.size() for run, end in self._load_index()) and self._exists()

    def was_whole(self) -> bool:
        """Returns whether a run of the container, whenever it ended, was put on disk to its end."""
        return any(run.startswith(f"{self._id}@") for run, _ in self._load_index())

    def mark_whole(self, ended_at: float) -> None:
        """Remembers that the run that ended then is on disk to its end.

        Raises:
            StateError: the index cannot be written.
        """
        mark = self._end_mark(ended_at)
        runs = [(run, base) for run, base in self._load_index() if run != mark]
        after = [number for number, (run, _) in enumerate(runs) if run == self._id]
        if after and after[-1] + 1 < len(runs):
            runs.insert(after[-1] + 1, (mark, runs[after[-1] + 1][1]))
        else:
            runs.append((mark, self.size()))
        self._save_index(runs)

    def _end_mark(self, ended_at: float) -> str:
        return f"{self._id}@{ended_at!r}"

    def _exists(self) -> bool:
        try:
            return self.path.is_file()
        except OSError:
            return False

    def writer(self) -> LogWriter:
        """Returns a writer that continues at the file's end.

        Raises:
            OSError: the file cannot be opened (no space, no permission).
            StateError: the index cannot be written.
        """
        fd = self._open()
        try:
            base, end = self._find_run(fd)
        except BaseException:
            os.close(fd)
            raise
        return LogWriter(fd, base, end)

    def _open(self) -> int:
        folder = prepare_folder(self._location, self._log_dir)
        path = folder / self.path.name
        fd = os.open(path, _OPEN, FILE_MODE)
        if words := describe_unfit(os.fstat(fd).st_mode):
            os.close(fd)
            raise UnfitFileError(errno.EINVAL, words, str(path))
        return fd

    def _find_run(self, fd: int) -> tuple[int, int]:
        """Returns where this run's bytes begin and end; adds the run to the index where it is new."""
        size = os.fstat(fd).st_size
        runs = self._load_index()
        if runs and runs[-1][0].startswith(f"{self._id}@"):
            # It was whole, and runs again, or somebody has cut the file.
            del runs[-1]
            self._save_index(runs)
        for position, (run, base) in enumerate(runs):
            if run == self._id and base <= size:
                # Another run follows: this one cannot grow, whatever more its log has.
                return base, base + sys.maxsize if position + 1 < len(runs) else size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            size += os.write(fd, b"\n")
        runs = [*(run for run in runs if run[0] != self._id and run[1] <= size), (self._id, size)]
        self._save_index(runs)
        return size, size

    def _save_index(self, runs: list[tuple[str, int]]) -> None:
        write_atomically(self._index, json.dumps(runs).encode(), mode=FILE_MODE, durable=False)

    def _load_index(self) -> list[tuple[str, int]]:
        """Returns container ids and where each one's bytes begin, in order; empty when lost or damaged."""
        data = read_if_exists(self._index)
        if data is None:
            return []
        try:
            return [(str(run), int(base)) for run, base in json.loads(data)]
        except (ValueError, TypeError):
            # The run is appended again: the log may hold lines twice.
            _log.warning("log index damaged", path=str(self._index))
            return []


class LogWriter:
    """Takes a log from its very beginning and writes only what the file lacks.

    Args:
        fd: the open file; :meth:`close` closes it.
        base: where the run's bytes begin.
        end: where they end so far.

    Attributes:
        least: what the file has at least, in bytes, of all runs.
    """

    def __init__(self, fd: int, base: int, end: int) -> None:
        self._fd = fd
        self._base = base
        self._skip = end - base
        self._compare = 0 if self._skip == sys.maxsize else min(self._skip, COMPARED_BYTES)
        self._head = b""
        self._unwritten = b""
        self.least = 0 if self._skip == sys.maxsize else end

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes of the stream.

        Raises:
            OSError: the write failed; nothing is lost: :meth:`drain` goes on with it.
        """
        if self._compare:
            self._head += chunk
            if len(self._head) < self._compare:
                return
            chunk = self._check_head()
        self._add_new(chunk)
        self.drain()

    def drain(self) -> None:
        """Writes what could not be written before.

        Raises:
            OSError: the write failed.
        """
        view = memoryview(self._unwritten)
        try:
            while view:
                written = os.write(self._fd, view)
                self.least += written
                view = view[written:]
        finally:
            self._unwritten = bytes(view)

    def end(self) -> None:
        """Takes the stream's end: writes what is held back, and syncs the file to disk.

        Raises:
            OSError: a write failed; to be called again.
        """
        if self._head:
            self._add_new(self._check_head())
        self.drain()
        os.fsync(self._fd)

    def is_intact(self, path: Path) -> bool:
        """Returns whether ``path`` still is this file, with all that was written to it.

        Raises:
            OSError: it cannot be looked at.
        """
        here = os.fstat(self._fd)
        try:
            there = path.stat(follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return os.path.samestat(here, there) and here.st_size >= self.least

    def discard_cut(self, path: Path) -> None:
        """Drops this run's bytes where somebody has cut the file: what was added since has a gap before it.

        A file that was moved away is somebody's copy, and stays as it is.

        Raises:
            OSError: the file cannot be changed.
        """
        here = os.fstat(self._fd)
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.path.samestat(here, path.stat(follow_symlinks=False)) and here.st_size > self._base:
                os.ftruncate(self._fd, self._base)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)

    def _add_new(self, chunk: bytes) -> None:
        skipped = min(self._skip, len(chunk))
        self._skip -= skipped
        self._unwritten += chunk[skipped:]

    def _check_head(self) -> bytes:
        """Compares the held back first bytes with the file's, and returns them."""
        head, self._head = self._head, b""
        kept = os.pread(self._fd, self._compare, self._base)
        self._compare = 0
        if head[: len(kept)] != kept[: len(head)] and not self._continues_after_marker(head):
            self._skip = 0
            self._unwritten += ROTATED
        return head

    def _continues_after_marker(self, head: bytes) -> bool:
        """Whether the file already says that the beginning is gone; then skips what follows that line."""
        size = os.fstat(self._fd).st_size
        start = max(self._base, size - MARKER_SEARCH_BYTES)
        text = os.pread(self._fd, size - start, start)
        mark = text.rfind(ROTATED)
        after = text[mark + len(ROTATED) :] if mark >= 0 else b""
        if mark < 0 or head[: min(len(after), len(head))] != after[: len(head)]:
            return False
        self._skip = len(after)
        return True


def tail(path: Path, lines: int) -> list[str]:
    """Returns the last lines of a log, for failure messages; empty when there is no such file.

    Of a line that overwrote itself (a progress bar's carriage returns) the last state is returned;
    undecodable bytes are replaced. At most the last 64 KiB are read.
    """
    try:
        with open_regular_stream(path) as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - TAIL_BYTES)
            file.seek(start)
            data = file.read(TAIL_BYTES)
    except OSError:
        return []
    text = data.decode(errors="replace")
    split = [line.rstrip("\r").rpartition("\r")[2] for line in text.rstrip("\n").split("\n")]
    if start and len(split) > 1:
        del split[0]
    return split[-lines:] if lines > 0 and text else []
