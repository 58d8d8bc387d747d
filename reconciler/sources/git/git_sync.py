"""Follows a git repository beside the daemon's work: looks from time to time, or when asked to.

A look that fails is repeated, at first soon, then less and less often (a server that is down is not helped
by being asked); one that found a bad commit at the usual interval: only another commit will mend it.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import structlog

from reconciler.config.settings import Settings
from reconciler.errors import ReconcilerError, StateError
from reconciler.sources.git.git_source import GitSource, SourceState
from reconciler.sources.git.repository_status import condition_of, report, source_of

if TYPE_CHECKING:
    from reconciler.api import Document

#: Seconds after a first failure; doubled with each, up to the longer of the interval and this.
FIRST_RETRY: Final = 2.0
LAST_RETRY: Final = 120.0
#: Part of a delay that is random, so that many daemons do not ask a server at once.
JITTER: Final = 0.05

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where the manifests of a scan came from.

    Attributes:
        revision: the commit in force; "" while there is none.
        condition: whether that is what the repository says now.
        source: ``status.source`` of a job by the file of its manifest.
    """

    revision: str
    condition: Mapping[str, str]
    source: Callable[[str], Mapping[str, str]] = field(compare=False)


class Follower:
    """Keeps the checkout of a repository up to date, in a thread of its own.

    Args:
        settings: with a repository.
        runtimes: those there are besides the repository's own, now.
        on_change: called from the thread when there is something new to read or to tell.
        clock: seconds since the epoch.
        stop: set when the daemon ends; a look under way ends at once.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        runtimes: Callable[[], Sequence[Document]],
        on_change: Callable[[], None],
        clock: Callable[[], float],
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._on_change = on_change
        self._stop = stop
        self._wake = threading.Event()
        self._source = GitSource(settings, runtimes=runtimes, clock=clock, stopped=stop.is_set)
        self._thread = threading.Thread(target=self._run, name="git-follower", daemon=True)

    @property
    def in_force(self) -> str:
        """The commit in the folder now."""
        return self._source.in_force

    def origin(self, revision: str) -> Origin:
        """Where a folder of this revision came from."""
        settings = self._settings
        state = replace(self._source.state, revision=revision)
        return Origin(
            revision=state.revision,
            condition=condition_of(state),
            source=lambda file: source_of(settings, state, file),
        )

    def reconfigure(self, settings: Settings) -> None:
        """Other settings from now on; a look that they may let succeed is made at once."""
        self._settings = settings
        self._source.reconfigure(settings)
        self.wake()

    def look(self) -> None:
        """Look once, now; for a run that does not go on.

        Raises:
            ReconcilerError: nothing is in force, and nothing could be put there.
        """
        state = self._look()
        if not state.revision:
            raise ReconcilerError(state.message)

    def start(self, *, at_once: bool = True) -> None:
        """Begin to look."""
        if at_once:
            self._wake.set()
        self._thread.start()

    def wake(self) -> None:
        """Look now instead of when it is time."""
        self._wake.set()

    def close(self) -> None:
        """End; the daemon has been told to stop, so a look under way ends soon."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        delay = self._settings.git_interval
        while not self._stop.is_set():
            self._wake.wait(delay)
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                delay = self._delay(self._look())
            except Exception:  # noqa: BLE001  (the thread's boundary: no commit may end the following)
                _log.exception("an error of this program; please report it")
                delay = max(self._settings.git_interval, LAST_RETRY)

    def _look(self) -> SourceState:
        before = self._source.state
        state = self._source.look()
        if self._stop.is_set():
            return state
        try:
            report(self._settings, state)
        except StateError as error:
            _log.error("the repository's status is not written", reason=str(error))
        _tell(before, state)
        if state != before:
            self._on_change()
        return state

    def _delay(self, state: SourceState) -> float:
        interval = self._settings.git_interval
        if state.passing and not state.ready:
            soon = min(FIRST_RETRY, interval) * 2 ** min(state.failures - 1, 16)
            interval = min(soon, max(interval, LAST_RETRY))
        return interval * (1 + random.uniform(0, JITTER))  # noqa: S311  (nothing is to be kept secret)


def _tell(before: SourceState, now: SourceState) -> None:
    """Say in the log what is new."""
    if now.ready and now.revision != before.revision:
        _log.info("revision in force", revision=now.revision, ref=now.ref, signature=now.signature)
    elif now.ready and not before.ready:
        _log.info("the repository is followed again", revision=now.revision)
    if now.warning and now.warning != before.warning:
        _log.warning("not all of the commit is taken", reason=now.warning, revision=now.revision)
    if not now.ready and (now.message, now.attempted) != (before.message, before.attempted):
        _log.error("the repository is not followed", cause=now.reason, reason=now.message)
