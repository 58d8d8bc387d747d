"""Keeps what containers print, before the containers are removed.

``<log-dir>/<namespace>/<job>/<attempt>/<container>.log``: one file per container per attempt; the
container that replaces a failed one in the same attempt appends. One thread reads each container, from before
it starts, so that a container which lives a millisecond is heard.

The rule that makes this safe: an engine's log starts at the container's beginning every time it is asked
for, and *a file is always a prefix of it*. So whatever breaks (the daemon, the engine, the connection, a
full disk), the next reader counts the bytes that are on disk, skips as many and goes on; nothing is lost or
doubled. Where in the file each container's bytes begin is kept beside it (``.<container>.log.json``).

What can go wrong: an engine that rotates its logs forgets the beginning (Docker's ``max-size``): then the
skipping would be wrong. It is noticed by comparing the first bytes, the file says so in a line of its
own, and what the engine still has follows. A container that is removed by somebody else takes what was
not read yet with it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from reconciler.engines.base import Engine, LogStream
from reconciler.errors import EngineError, NotFound, StateError
from reconciler.status.files import read_if_exists, write_atomically

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
#: Seconds between tries to reach a broken stream again: doubled up to the last.
FIRST_RETRY: Final = 0.1
LAST_RETRY: Final = 5.0
#: After this many seconds a full disk is tried again.
DISK_RETRY: Final = 15.0
#: A finished log up to this size is read once more, to be sure that its end is on disk.
VERIFY_LIMIT: Final = 16 * 1024 * 1024
#: How many of a log's first bytes tell it from one whose beginning was rotated away.
HEAD: Final = 1024
ROTATED: Final = (
    b"[reconciler: the engine has dropped the beginning of this log; what it still has follows]\n"
)
TAIL_BLOCK: Final = 64 * 1024

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class LogPlace:
    """Where a container's log goes; ``container`` is its name on the engine."""

    namespace: str
    job: str
    attempt: int
    container: str

    def path(self, log_dir: Path) -> Path:
        """The file under ``log_dir``."""
        return log_dir / self.namespace / self.job / str(self.attempt) / f"{self.container}.log"


class LogKeeper:
    """Reads every container's log into its file; every method may be called from any thread.

    Args:
        engine: whose containers they are.
        log_dir: see :class:`LogPlace`; made (0700) when first written to.
        clock: seconds since the epoch.
    """

    def __init__(self, engine: Engine, log_dir: Path, *, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._log_dir = log_dir
        self._clock = clock
        self._lock = threading.Lock()
        self._readers: dict[str, _Reader] = {}
        self._closing = threading.Event()

    def path(self, place: LogPlace) -> Path:
        """The file of a container's log."""
        return place.path(self._log_dir)

    def attach(self, container_id: str, place: LogPlace) -> None:
        """Read this container's log from now on; call it between create and start, and on every pass.

        Without effect where a reader is at work or has read all. Never waits, never fails: trouble is
        logged, and :meth:`finish` reads what is missing.
        """
        with self._lock:
            if container_id in self._readers or self._closing.is_set():
                return
            reader = self._reader(container_id, place)
            self._readers[container_id] = reader
            reader.start()

    def finish(self, container_id: str, place: LogPlace, *, timeout: float) -> bool:
        """See that all of an ended container's log is on disk; call it before the container is removed.

        Also where nobody has read it so far. The container is forgotten afterwards.

        Args:
            container_id: that has exited, or was never started.
            place: of its log.
            timeout: seconds to wait for the reader to come to the end by itself.

        Returns:
            False where not everything could be read or written; why is logged, and the file ends early.
        """
        with self._lock:
            reader = self._readers.pop(container_id, None)
        if reader is None:
            reader = self._reader(container_id, place)
        return reader.finish(timeout)

    def _reader(self, container_id: str, place: LogPlace) -> _Reader:
        return _Reader(
            self._engine,
            container_id,
            place=place,
            log_dir=self._log_dir,
            clock=self._clock,
            closing=self._closing,
        )

    def last_activity(self, container_id: str) -> float | None:
        """When the container last printed something, in seconds since the epoch; None not yet seen."""
        with self._lock:
            reader = self._readers.get(container_id)
        return reader.last_activity if reader else None

    def tail(self, place: LogPlace, lines: int) -> list[str]:
        """The last lines of a kept log, as :func:`tail` gives them."""
        return tail(self.path(place), lines)

    def close(self, *, timeout: float = 5.0) -> None:
        """End all readers; containers and their logs on the engine stay, the next daemon reads on."""
        self._closing.set()
        with self._lock:
            readers = list(self._readers.values())
            self._readers.clear()
        for reader in readers:
            reader.stop()
        for reader in readers:
            reader.join(timeout)


class _Reader:
    """One container's reader: a thread that follows, and what :meth:`finish` does after it."""

    def __init__(
        self,
        engine: Engine,
        container_id: str,
        *,
        place: LogPlace,
        log_dir: Path,
        clock: Callable[[], float],
        closing: threading.Event,
    ) -> None:
        self.last_activity: float | None = None
        self._engine = engine
        self._id = container_id
        self._file = _LogFile(place.path(log_dir), log_dir, container_id)
        self._clock = clock
        self._closing = closing
        self._stopping = threading.Event()
        self._log = _log.bind(
            namespace=place.namespace, job=place.job, container=place.container, path=str(self._file.path)
        )
        self._stream_lock = threading.Lock()
        self._stream: LogStream | None = None
        self._thread: threading.Thread | None = None
        self._heard = 0
        self._told_disk = False
        self._ended = False

    def start(self) -> None:
        self._thread = threading.Thread(target=self._follow, name=f"log-{self._id[:12]}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread soon, wherever it is."""
        self._stopping.set()
        with self._stream_lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def finish(self, timeout: float) -> bool:
        """See :meth:`LogKeeper.finish`."""
        try:
            if self._never_started():
                # Not joined: there is nothing to come, and an engine may take a second to let go.
                self.stop()
                return True
        except NotFound:
            self.join(timeout)
            return self._ended
        except EngineError as error:
            self._log.warning("log may lack its end: the engine does not answer", reason=str(error))
            return False
        self.join(timeout)
        self.stop()
        self.join(1.0)
        if self._thread is not None and self._thread.is_alive():
            self._log.warning("log may lack its end: its reader hangs")
            return False
        if self._ended and self._file.size() > VERIFY_LIMIT:
            return True
        return self._read_rest()

    def _never_started(self) -> bool:
        return self._engine.inspect_container(self._id).state == "created"

    def _read_rest(self) -> bool:
        """Read the whole log once, without following, and write what is missing."""
        try:
            complete = self._consume(follow=False)
        except NotFound:
            return self._ended
        except EngineError as error:
            self._log.warning("log may lack its end", reason=str(error))
            return False
        return complete

    # -- in the reader's thread

    def _follow(self) -> None:
        delay = FIRST_RETRY
        while not self._done():
            heard = self._heard
            written = True
            try:
                written = self._consume(follow=True)
                if self._done() or (written and self._has_ended()):
                    return
            except NotFound:
                return
            except EngineError as error:
                if self._done():
                    return
                self._log.debug("log stream broke, reading again", reason=str(error))
            delay = FIRST_RETRY if self._heard > heard else min(delay * 2, LAST_RETRY)
            self._stopping.wait(delay if written else DISK_RETRY)

    def _done(self) -> bool:
        return self._stopping.is_set() or self._closing.is_set()

    def _has_ended(self) -> bool:
        """The stream has ended: is it because the container has?"""
        if self._engine.inspect_container(self._id).state != "exited":
            return False
        self._ended = True
        return True

    def _consume(self, *, follow: bool) -> bool:
        """Read the log from its beginning, skip what is on disk, write the rest.

        Returns:
            False when the disk refused: what was read then is known to be missing.
        """
        stream = self._engine.logs(self._id, follow=follow)
        with self._stream_lock:
            self._stream = stream
        if follow and self._done():
            stream.close()
        writer: _Writer | None = None
        position = 0
        refused = False
        try:
            for chunk in stream:
                position += len(chunk)
                self._hear(position)
                if refused:
                    # The thread reads on, so that stalls are told from silence.
                    continue
                try:
                    writer = writer or self._file.writer(trusted=self._ended)
                    writer.feed(chunk)
                except (OSError, StateError) as error:
                    self._tell_disk(error)
                    refused = True
            if writer is not None and not refused:
                writer.end()
        except OSError as error:
            self._tell_disk(error)
            refused = True
        finally:
            with self._stream_lock:
                self._stream = None
            stream.close()
            if writer is not None:
                writer.close()
        return not refused

    def _hear(self, position: int) -> None:
        if position > self._heard:
            self._heard = position
            self.last_activity = self._clock()

    def _tell_disk(self, error: Exception) -> None:
        if not self._told_disk:
            self._told_disk = True
            self._log.error(
                "log cannot be written; it is read again from the engine when there is room",
                reason=str(error),
            )


class _LogFile:
    """A log file of one container's run, and where in it that run begins."""

    def __init__(self, path: Path, log_dir: Path, container_id: str) -> None:
        self.path = path
        self._log_dir = log_dir
        self._id = container_id
        self._index = path.with_name(f".{path.name}.json")

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def writer(self, *, trusted: bool) -> _Writer:
        """A writer that goes on where the file ends.

        Raises:
            OSError: the file cannot be opened (no space, no permission).
            StateError: where the run begins could not be kept.
        """
        _make_folder(self.path.parent, self._log_dir)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)
        try:
            base, end = self._span(fd)
        except BaseException:
            os.close(fd)
            raise
        return _Writer(fd, base, end, trusted=trusted)

    def _span(self, fd: int) -> tuple[int, int]:
        """Where this run's bytes begin and end so far."""
        size = os.fstat(fd).st_size
        runs = self._runs()
        for place, (run, base) in enumerate(runs):
            if run == self._id and base <= size:
                return base, runs[place + 1][1] if place + 1 < len(runs) else size
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


class _Writer:
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
        self._compare = min(self._skip, HEAD)
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
        start = max(self._base, size - VERIFY_LIMIT)
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
