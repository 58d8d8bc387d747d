"""Reads one container's log into its file, in a thread, across every interruption.

The rule that makes this safe: an engine's log starts at the container's beginning every time it is read, and
*a file is always a prefix of it*. So whatever breaks (the daemon, the engine, the connection, a full disk),
the next reader counts the bytes on disk, skips as many and continues; nothing is lost or doubled.

What can go wrong: an engine that rotates its logs drops the beginning (Docker's ``max-size``), and skipping
would then be wrong. :class:`~.log_files.LogWriter` detects it by comparing the first bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from reconciler.common.liveness import NO_LIMIT, allow_time
from reconciler.controller.nodeservices.logs.log_files import LogFile, LogWriter
from reconciler.engines.protocol import Engine, LogStream
from reconciler.errors import EngineError, NotFound, StateError
from reconciler.state.kept_logs.log_paths import LogLocation

#: Seconds until an interrupted stream is opened again: doubled up to the last.
FIRST_RETRY: Final = 0.1
LAST_RETRY: Final = 5.0
#: Seconds until a failed write (a full disk) is tried again.
DISK_RETRY: Final = 15.0
#: A log up to this size is read once more at its end, to be sure that its end is on disk.
VERIFY_LIMIT: Final = 16 * 1024 * 1024

_log = structlog.get_logger(__name__)


class LogReader:
    """One container's reader: a thread that follows the log, and :meth:`finish`, which completes the file."""

    def __init__(
        self,
        engine: Engine,
        container_id: str,
        *,
        location: LogLocation,
        log_dir: Path,
        clock: Callable[[], float],
        closing: threading.Event,
    ) -> None:
        self.last_output_at: float | None = None
        #: Set once the stream has ended, or the thread has.
        self.end_reached = threading.Event()
        self._engine = engine
        self._id = container_id
        self._file = LogFile(location, log_dir, container_id)
        self._clock = clock
        self._closing = closing
        self._stopping = threading.Event()
        self._log = _log.bind(
            namespace=location.namespace,
            job=location.job,
            container=location.container,
            path=str(self._file.path),
        )
        self._stream_lock = threading.Lock()
        self._stream: LogStream | None = None
        self._thread: threading.Thread | None = None
        self._bytes_read = 0
        self._write_failure_logged = False
        self._container_exited = False

    @property
    def running(self) -> bool:
        """Whether the thread still reads."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._run, name=f"log-{self._id[:12]}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Makes the thread end soon, wherever it is."""
        self._stopping.set()
        with self._stream_lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    def join(self, timeout: float) -> None:
        """Waits for the thread."""
        if self._thread is not None:
            self._thread.join(timeout)

    def finish(self, timeout: float, *, completed_at: float | None) -> float | None:
        """Does the work of :meth:`LogCollector.finish`.

        Args:
            timeout: in seconds.
            completed_at: when the container ended, in an earlier run whose log is complete.

        Returns:
            When the container ended, 0 if not known; None where the log may lack its end.
        """
        try:
            state = self._engine.inspect_container(self._id)
        except NotFound:
            self.join(timeout)
            return 0.0 if self._container_exited or completed_at is not None else None
        except EngineError as error:
            self._log.warning("log incomplete", reason=f"the engine does not answer: {error}")
            return None
        if state.state == "created":
            # Not joined: no output can come, and an engine may take a second to end the stream.
            self.stop()
            return 0.0
        ended_at = (state.exit.finished_at if state.exit else None) or 0.0
        if completed_at is not None and ended_at and ended_at == completed_at:
            return completed_at
        self.join(timeout)
        self.stop()
        self.join(1.0)
        if self.running:
            self._log.warning("log incomplete", reason="its reader hangs")
            return None
        if self._container_exited and self._file.size() > VERIFY_LIMIT:
            return ended_at
        return ended_at if self._read_rest() else None

    def _read_rest(self) -> bool:
        """Reads the whole log once, without following, and writes what is missing."""
        try:
            # Gigabytes take their time, and what may hang here is the engine, whose stream has no limit.
            with allow_time(NO_LIMIT, "reading the rest of a log"):
                return self._copy(follow=False)
        except NotFound:
            return self._container_exited
        except EngineError as error:
            self._log.warning("log incomplete", reason=str(error))
            return False

    # -- in the reader's thread

    def _run(self) -> None:
        try:
            self._follow()
        finally:
            self.end_reached.set()

    def _follow(self) -> None:
        delay = FIRST_RETRY
        while not self._must_stop():
            before = self._bytes_read
            written = True
            try:
                written = self._copy(follow=True)
                self.end_reached.set()
                if self._must_stop() or (written and self._has_exited()):
                    return
            except NotFound:
                return
            except EngineError as error:
                if self._must_stop():
                    return
                self._log.debug("log stream interrupted", reason=str(error))
            delay = FIRST_RETRY if self._bytes_read > before else min(delay * 2, LAST_RETRY)
            self._stopping.wait(delay if written else DISK_RETRY)

    def _must_stop(self) -> bool:
        return self._stopping.is_set() or self._closing.is_set()

    def _has_exited(self) -> bool:
        """Asks, after the end of a stream, whether the container has ended too."""
        if self._engine.inspect_container(self._id).state != "exited":
            return False
        self._container_exited = True
        return True

    def _copy(self, *, follow: bool) -> bool:
        """Reads the log from its beginning, skips what is on disk, writes the rest.

        Returns:
            False when a write failed: the output read since then is known to be missing.
        """
        stream = self._engine.logs(self._id, follow=follow)
        with self._stream_lock:
            self._stream = stream
        if follow and self._must_stop():
            stream.close()
        try:
            return self._write(stream, follow=follow)
        except OSError as error:
            self._log_write_failure(error)
            return False
        finally:
            with self._stream_lock:
                self._stream = None
            stream.close()

    def _write(self, stream: LogStream, *, follow: bool) -> bool:
        writer: LogWriter | None = None
        position = 0
        failed = False
        try:
            for chunk in stream:
                position += len(chunk)
                self._note_output(position)
                if failed:
                    # Reading goes on, so that stall detection sees the output.
                    continue
                try:
                    writer = writer or self._file.writer(complete=self._container_exited)
                    writer.feed(chunk)
                except (OSError, StateError) as error:
                    self._log_write_failure(error)
                    failed = True
            if writer is not None and not failed:
                writer.end()
            elif not follow and not failed:
                # The container printed nothing: the empty file says so, at the path that the status names.
                self._file.touch()
        finally:
            if writer is not None:
                writer.close()
        return not failed

    def _note_output(self, position: int) -> None:
        if position > self._bytes_read:
            self._bytes_read = position
            self.last_output_at = self._clock()

    def _log_write_failure(self, error: Exception) -> None:
        if not self._write_failure_logged:
            self._write_failure_logged = True
            self._log.error("log write failed", reason=str(error), retry_in=DISK_RETRY)
