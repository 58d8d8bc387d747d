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

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from reconciler.common.liveness import WITHOUT_LIMIT, allow
from reconciler.controller.nodeservices.log_files import LogFile, LogWriter, tail
from reconciler.engines.protocol import Engine, LogStream
from reconciler.errors import EngineError, NotFound, StateError

#: Seconds between tries to reach a broken stream again: doubled up to the last.
FIRST_RETRY: Final = 0.1
LAST_RETRY: Final = 5.0
#: After this many seconds a full disk is tried again.
DISK_RETRY: Final = 15.0
#: A finished log up to this size is read once more, to be sure that its end is on disk.
VERIFY_LIMIT: Final = 16 * 1024 * 1024
#: How many containers are remembered whose log is complete.
FINISHED_KEPT: Final = 4096

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
        #: When containers ended whose log is complete.
        self._finished: dict[str, float] = {}
        self._closing = threading.Event()

    def path(self, place: LogPlace) -> Path:
        """The file of a container's log."""
        return place.path(self._log_dir)

    def attach(self, container_id: str, place: LogPlace) -> None:
        """Read this container's log from now on; call it between create and start, and while it runs.

        Without effect where a reader is at work. Never waits, never fails: trouble is logged, and
        :meth:`finish` reads what is missing.
        """
        with self._lock:
            known = self._readers.get(container_id)
            if self._closing.is_set() or (known is not None and known.at_work):
                return
            reader = self._reader(container_id, place)
            if known is not None:
                # It had ended and runs again (somebody started it by hand).
                reader.last_activity = known.last_activity
            self._readers[container_id] = reader
            reader.start()

    def finish(self, container_id: str, place: LogPlace, *, timeout: float) -> bool:
        """See that all of an ended container's log is on disk; call it before the container is removed.

        Also where nobody has read it so far. Called again it costs a look, unless the container has run
        since.

        Args:
            container_id: that has exited, or was never started.
            place: of its log.
            timeout: seconds to wait for the reader to come to the end by itself.

        Returns:
            False where not everything could be read or written; why is logged, and the file ends early.
        """
        with self._lock:
            reader = self._readers.pop(container_id, None)
            finished = self._finished.get(container_id)
        if reader is None:
            reader = self._reader(container_id, place)
        ended = reader.finish(timeout, finished=finished)
        if ended is not None:
            with self._lock:
                self._finished[container_id] = ended
                while len(self._finished) > FINISHED_KEPT:
                    del self._finished[next(iter(self._finished))]
        return ended is not None

    def heard_out(self, containers: Iterable[str], *, timeout: float) -> None:
        """Wait, for ``timeout`` seconds in all, until what these ended containers printed is on disk.

        As far as readers are at work on them: nothing is read anew.
        """
        deadline = time.monotonic() + timeout
        with self._lock:
            readers = [self._readers[each] for each in containers if each in self._readers]
        for reader in readers:
            reader.heard_out.wait(max(0.0, deadline - time.monotonic()))

    def _reader(self, container_id: str, place: LogPlace) -> _Reader:
        return _Reader(
            self._engine,
            container_id,
            place=place,
            log_dir=self._log_dir,
            clock=self._clock,
            closing=self._closing,
        )

    def silence(self, container_id: str) -> float | None:
        """For how many seconds the container has printed nothing; None while it has printed nothing yet."""
        with self._lock:
            reader = self._readers.get(container_id)
        heard = reader.last_activity if reader else None
        return self._clock() - heard if heard is not None else None

    def tail(self, place: LogPlace, lines: int) -> list[str]:
        """The last lines of a kept log, as :func:`tail` gives them."""
        return tail(self.path(place), lines)

    def close(self, *, timeout: float = 5.0) -> None:
        """End all readers, within ``timeout`` seconds; the next daemon reads on from where they were."""
        self._closing.set()
        with self._lock:
            readers = list(self._readers.values())
            self._readers.clear()
        for reader in readers:
            reader.stop()
        deadline = time.monotonic() + timeout
        for reader in readers:
            reader.join(max(0.0, deadline - time.monotonic()))


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
        #: The stream has come to its end, or the thread has.
        self.heard_out = threading.Event()
        self._engine = engine
        self._id = container_id
        self._file = LogFile(place.path(log_dir), log_dir, container_id)
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

    @property
    def at_work(self) -> bool:
        """Whether the thread still reads."""
        return self._thread is not None and self._thread.is_alive()

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

    def finish(self, timeout: float, *, finished: float | None) -> float | None:
        """See :meth:`LogKeeper.finish`.

        Args:
            timeout: in seconds.
            finished: when the container ended, in an earlier run whose log is complete.

        Returns:
            When the container ended, 0 not known; None where the log may lack its end.
        """
        try:
            state = self._engine.inspect_container(self._id)
        except NotFound:
            self.join(timeout)
            return 0.0 if self._ended or finished is not None else None
        except EngineError as error:
            self._log.warning("log may lack its end: the engine does not answer", reason=str(error))
            return None
        if state.state == "created":
            # Not joined: there is nothing to come, and an engine may take a second to let go.
            self.stop()
            return 0.0
        ended = (state.exit.finished_at if state.exit else None) or 0.0
        if finished is not None and ended and ended == finished:
            return finished
        self.join(timeout)
        self.stop()
        self.join(1.0)
        if self.at_work:
            self._log.warning("log may lack its end: its reader hangs")
            return None
        if self._ended and self._file.size() > VERIFY_LIMIT:
            return ended
        return ended if self._read_rest() else None

    def _read_rest(self) -> bool:
        """Read the whole log once, without following, and write what is missing."""
        try:
            # Gigabytes take their time, and what may hang here is the engine, whose stream has no limit.
            with allow(WITHOUT_LIMIT, "reading the rest of a log"):
                complete = self._consume(follow=False)
        except NotFound:
            return self._ended
        except EngineError as error:
            self._log.warning("log may lack its end", reason=str(error))
            return False
        return complete

    # -- in the reader's thread

    def _follow(self) -> None:
        try:
            self._keep_reading()
        finally:
            self.heard_out.set()

    def _keep_reading(self) -> None:
        delay = FIRST_RETRY
        while not self._done():
            heard = self._heard
            written = True
            try:
                written = self._consume(follow=True)
                self.heard_out.set()
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
        writer: LogWriter | None = None
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
            elif not follow and not refused:
                # It printed nothing: the file says so, and is where the status says that it is.
                self._file.touch()
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
