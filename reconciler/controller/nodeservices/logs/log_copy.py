"""One container's log on its way into its file, across every interruption.

The rule that makes this safe: an engine's log starts at the container's beginning every time it is read, and
*a file is always a prefix of it*. So whatever breaks (the daemon, the engine, the connection, a full disk),
the next reading counts the bytes on disk, skips as many and continues; nothing is lost or doubled.

What can go wrong: an engine that rotates its logs drops the beginning (Docker's ``max-size``), and skipping
would then be wrong. :class:`~.log_files.LogWriter` detects it by comparing the first bytes. Somebody who
removes, replaces or cuts the file while it is written: it is written again from the beginning. A disk without
room: what was read is held, and nothing more is read, until it takes it; the engine has the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, cast

import structlog

from reconciler.common.os_errors import reason_of
from reconciler.controller.nodeservices.logs.log_files import LogFile, LogWriter
from reconciler.controller.statemachine.observation import LogProgress, LogState
from reconciler.engines.protocol import ContainerState, Engine, LogSource
from reconciler.errors import EngineError, EngineUnavailable, LogUnreadable, NotFound, StateError
from reconciler.names import job_key
from reconciler.state.kept_logs.log_paths import LogLocation

#: Seconds until an interrupted stream is opened again: doubled up to the last.
FIRST_RETRY: Final = 0.1
LAST_RETRY: Final = 5.0
#: Seconds until a failed write (a full disk) is tried again.
DISK_RETRY: Final = 5.0
#: Seconds without progress after which an ended container's log is not waited for any more.
LIMIT: Final = 300.0
#: Seconds that a followed stream may stay silent after its container has ended; then it is opened anew. The
#: same for an end of a stream that no pass has seen: then the engine is asked.
END_PATIENCE: Final = 2.0
#: Seconds by which an engine may set the time of an end after the end of the output.
CLOCK_TOLERANCE: Final = 0.25
#: Times that an engine may say in a row that there is no such container, before it is believed.
MAX_MISSES: Final = 3
#: Pieces read of one log before it is another's turn.
TURN: Final = 16
#: Seconds between looks at whether a file that is written to is still in its place.
PLACE_CHECK: Final = 5.0
#: Times that a log is written again because its file has gone; after that its size alone counts, for file
#: systems on which a file's identity changes.
MAX_REWRITES: Final = 3

_log = structlog.get_logger(__name__)

#: A call of the engine, which may wait; its result, or an EngineError, is for :meth:`LogCopy.answer`.
Call = Callable[[], object]
#: ``closed``: nothing is read; ``followed``, ``rest``, ``plain``: the source of that kind is; ``ended``: a
#: followed one has ended with the log; ``complete``: all was read, and is to be secured.
_Stage = Literal["closed", "followed", "rest", "plain", "ended", "complete"]


class LogCopy:
    """A container's log; all calls come from the loop's thread.

    Attributes:
        state: how far it is; may be read from any thread.
        ended_at: when the container ended, seconds since the epoch; None while it is not known to have.
        last_output_at: when it printed something last, by the loop's clock.
        source: what is being read; None in between.
        due: when :meth:`step` is to be called again at the latest, by the loop's clock.
        again: there is more to be done now.
        told_problem: the problem that the job was told of last; the collector's.
    """

    def __init__(self, container_id: str, location: LogLocation, log_dir: Path) -> None:
        self.container_id = container_id
        self.key = job_key(location.namespace, location.job)
        self.state = LogState("following")
        self.ended_at: float | None = None
        self.last_output_at: float | None = None
        self.source: LogSource | None = None
        self.due = 0.0
        self.again = False
        self.told_problem = ""
        self._container = location.container
        self._file = LogFile(location, log_dir, container_id)
        self._log = _log.bind(
            namespace=location.namespace,
            job=location.job,
            container=location.container,
            path=str(self._file.path),
        )
        self._stage: _Stage = "closed"
        self._writer: LogWriter | None = None
        #: Read, and not given to the writer yet.
        self._held = b""
        self._position = 0
        self._bytes_read = 0
        #: What the engine is being asked, and of which reading; "" for nothing.
        self._asked = ""
        self._reading = 0
        self._asked_reading = 0
        #: When the source ended, by the wall clock.
        self._read_until = 0.0
        self._delay = FIRST_RETRY
        self._misses = 0
        self._rewrites = 0
        self._place_due = 0.0
        self._problem = ""
        self._progress_at = 0.0
        #: A followed source has ended with the log: nothing is lost if the container is gone.
        self._reached_end = False
        self._failing_since: float | None = None
        self._bytes_at_failure = -1

    @property
    def done(self) -> bool:
        """Whether nothing more is to be read."""
        return self.state.progress in {"whole", "lost"}

    @property
    def blocked(self) -> bool:
        """Whether the disk takes nothing, so that nothing is read."""
        return bool(self._problem)

    # -- what the passes say

    def note_end(self, ended_at: float, now: float) -> None:
        """The container has ended."""
        if self.ended_at == ended_at:
            return
        read_to_end = self._stage in {"ended", "complete"} or self._asked == "rest"
        ran_again = self.done or (read_to_end and not self._covers(ended_at))
        self._progress_at = self.due = now
        self._failing_since = None
        if ran_again:
            # Somebody has started it by hand since.
            self._restart()
        self._set_state("reading")
        self.ended_at = ended_at

    def note_start(self, now: float) -> None:
        """The container runs; where it had ended, it runs again."""
        if self.ended_at is None and not self.done:
            return
        self.ended_at = None
        self._reached_end = False
        self._restart()
        self._set_state("following")
        self.due = now

    def _covers(self, ended_at: float) -> bool:
        """Whether what was read reaches to an end that has become known since."""
        return 0.0 < ended_at <= self._read_until + CLOCK_TOLERANCE

    def _restart(self) -> None:
        """Reads again from the beginning, with the next step."""
        self.close()
        if self.state.progress == "lost":
            self._problem = ""
        self._reading += 1
        self._stage = "closed"
        self._delay = FIRST_RETRY
        self._misses = 0

    def close(self) -> None:
        """Gives the files back."""
        if self.source is not None:
            self.source.close()
            self.source = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._held = b""
        self._position = 0

    # -- the loop's turns

    def step(self, engine: Engine, now: float) -> Call | None:
        """Does what can be done now; returns a call of the engine to be made, whose result is the answer."""
        self.again = False
        self.due = math.inf
        if self.done or self._asked:
            return None
        try:
            if not self.blocked:
                return self._advance(engine, now)
            self._write()
            call = self._advance(engine, now)
            if not self.done:
                self._set_problem("")
            return call
        except EngineError as error:
            self._interrupted(error, now)
        except (OSError, StateError) as error:
            self._refused(error, now)
        return None

    def _advance(self, engine: Engine, now: float) -> Call | None:
        if self._stage == "complete":
            self._secure()
            return None
        if self.source is not None:
            return self._read(now)
        if self._stage == "ended":
            if self.ended_at is not None:
                self._complete()
                return None
            return self._ask("state", lambda: engine.inspect_container(self.container_id))
        follow = self.ended_at is None
        return self._ask(
            "followed" if follow else "plain", lambda: engine.open_log(self.container_id, follow=follow)
        )

    def _ask(self, what: str, call: Call) -> Call:
        self._asked, self._asked_reading = what, self._reading
        return call

    def answer(self, result: object, now: float) -> None:
        """Takes what the engine said."""
        asked, self._asked = self._asked, ""
        self.due = now
        if self._asked_reading != self._reading:
            # It was asked before all was begun anew.
            if asked != "state" and result is not None and not isinstance(result, Exception):
                cast("LogSource", result).close()
        elif isinstance(result, EngineError):
            self._interrupted(result, now)
        elif asked == "state":
            self._take_state(cast("ContainerState", result), now)
        elif result is None:
            self._end_of_followed(exact=True, now=now)
        else:
            if self.source is not None:
                self.source.close()
            self.source = cast("LogSource", result)
            self._stage = cast("_Stage", asked)

    # -- reading

    def _read(self, now: float) -> Call | None:
        source = self.source
        assert source is not None  # noqa: S101  (for mypy)
        if self._writer is not None and now >= self._place_due:
            if self._has_lost_file(self._writer):
                return None
            self._place_due = now + PLACE_CHECK
        for _ in range(TURN):
            data = source.read()
            if data is None:
                self._wait_for_more(source, now)
                return None
            if not data:
                return self._at_end(source, now)
            self._note_output(len(data), now)
            self._held = data
            self._write()
        self.again = True
        return None

    def _wait_for_more(self, source: LogSource, now: float) -> None:
        self.due = now + source.poll_seconds
        if self.ended_at is None:
            return
        patience = END_PATIENCE if self._stage == "followed" else LIMIT
        if now < self._progress_at + patience:
            self.due = min(self.due, self._progress_at + patience)
        elif self._stage == "followed":
            # It has not noticed the end: what there is is read without waiting for more.
            self._restart()
            self.again = True
        else:
            self._lose("The engine does not give the rest of it.")

    def _at_end(self, source: LogSource, now: float) -> Call | None:
        self._read_until = time.time()
        if self._stage == "plain":
            self._complete()
        elif self._stage == "followed" and source.exact:
            return self._ask("rest", source.open_rest)
        else:
            self._end_of_followed(exact=source.exact, now=now)
        return None

    def _end_of_followed(self, *, exact: bool, now: float) -> None:
        if self.source is not None:
            self.source.close()
            self.source = None
        if not exact and self.ended_at is not None:
            self._restart()
            self.again = True
            return
        self._stage = "ended" if exact else "closed"
        self._reached_end = exact
        if self.ended_at is not None:
            self.again = True
        else:
            # The pass that sees the end comes any moment; without one the engine is asked.
            self.due = now + END_PATIENCE

    def _take_state(self, state: ContainerState, now: float) -> None:
        if state.state == "exited":
            finished_at = (state.exit.finished_at if state.exit else None) or 0.0
            if not self._covers(finished_at) and self.ended_at is None:
                self._restart()
            self._progress_at = now
            self._set_state("reading")
            self.ended_at = finished_at
        else:
            # The stream ended, the container has not.
            self._restart()
            self.due = now + self._next_delay()

    def _complete(self) -> None:
        """All was read."""
        self._stage = "complete"
        if self.source is not None:
            self.source.close()
            self.source = None
        self._secure()

    def _secure(self) -> None:
        """Puts the end on disk for good."""
        if self._writer is not None:
            self._writer.end()
            if self._has_lost_file(self._writer):
                return
            self._writer.close()
            self._writer = None
        elif self._bytes_read and not self._file.size():
            self._lose("Its file was removed, and the engine does not have it any more.")
            return
        else:
            # The container printed nothing: the empty file says so, at the path that the status names.
            self._file.touch()
        if self.ended_at is not None:
            self._file.mark_whole(self.ended_at)
        self._set_state("whole")

    # -- writing

    def _write(self) -> None:
        if self._writer is None:
            if not self._held:
                return
            self._writer = self._file.writer()
        held, self._held = self._held, b""
        if held:
            self._writer.feed(held)
        else:
            self._writer.drain()

    def _has_lost_file(self, writer: LogWriter) -> bool:
        """Whether somebody has removed, replaced or cut the file; then all is read and written again."""
        path = self._file.path
        if writer.is_intact(path):
            return False
        if self._rewrites >= MAX_REWRITES and self._file.size() >= writer.least:
            return False
        self._log.warning("log written again", reason="The file was removed, replaced or cut.")
        self._rewrites += 1
        writer.discard_cut(path)
        self._restart()
        self._reached_end = False
        self.again = True
        return True

    def _note_output(self, size: int, now: float) -> None:
        self._position += size
        self._progress_at = now
        self._misses = 0
        if self._position > self._bytes_read:
            self._bytes_read = self._position
            self.last_output_at = now
            self._delay = FIRST_RETRY

    # -- what goes wrong

    def _interrupted(self, error: EngineError, now: float) -> None:
        """The engine failed: it is asked again from the beginning."""
        gone = False
        if isinstance(error, NotFound):
            self._misses += 1
            gone = self._misses >= MAX_MISSES
        self.close()
        self._reading += 1
        self._stage = "closed"
        self.due = now + self._next_delay()
        self._log.debug("log stream interrupted", reason=str(error))
        if isinstance(error, LogUnreadable):
            self._lose(str(error))
        elif gone and self._reached_end:
            self._stage, self.due = "complete", now
        elif gone:
            self._lose("The container was removed before all of it was read.")
        elif self.ended_at is not None:
            self._count_failure(error, now)

    def _count_failure(self, error: EngineError, now: float) -> None:
        """Gives up where the engine, which answers, has given nothing new for too long."""
        if self._failing_since is None or self._bytes_read > self._bytes_at_failure:
            self._failing_since = now
        self._bytes_at_failure = self._bytes_read
        if isinstance(error, EngineUnavailable):
            # Nothing can be said of its jobs meanwhile: no time to be counted.
            self._failing_since = now
        elif now >= self._failing_since + LIMIT:
            self._lose(str(error))

    def _refused(self, error: Exception, now: float) -> None:
        """The disk takes nothing more: the next try comes later."""
        if not self.blocked:
            self._log.error("log write failed", reason=str(error), retry_in=DISK_RETRY)
        reason = reason_of(error) if isinstance(error, OSError) else str(error).rstrip(".")
        self._set_problem(f"The log of {self._container} cannot be written to {self._file.path}: {reason}.")
        self.due = now + DISK_RETRY
        if self.state.progress == "reading" and now >= self._progress_at + LIMIT:
            self._set_state("late")

    def _lose(self, why: str) -> None:
        self.close()
        self._log.warning("log incomplete", reason=why)
        self._problem = why
        self._set_state("lost")

    def _next_delay(self) -> float:
        delay = self._delay
        self._delay = min(self._delay * 2, LAST_RETRY)
        return delay

    def _set_problem(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            self._set_state(self.state.progress)

    def _set_state(self, progress: LogProgress) -> None:
        if progress == "whole":
            self._problem = ""
        self.state = LogState(progress, self._problem)
