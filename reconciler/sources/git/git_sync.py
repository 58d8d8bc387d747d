"""Syncs with a git repository beside the daemon's work: from time to time, or when asked to.

A sync that failed is repeated, at first soon, then less and less often (a server that is down is not helped
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
from reconciler.sources.git.git_source import GitSource, RepositoryState
from reconciler.sources.git.repository_status import job_source, ready_condition, write_repository_status

if TYPE_CHECKING:
    from reconciler.api import Document

#: Seconds after a first failure; doubled with each, up to the longer of the interval and the last.
FIRST_RETRY: Final = 2.0
LAST_RETRY: Final = 120.0
#: Part of a delay that is random, so that many daemons do not ask a server at once.
JITTER: Final = 0.05

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class SourceRevision:
    """The revision that the manifests of a scan came from.

    Attributes:
        revision: the commit in force; "" while there is none.
        condition: whether that is what the repository has now.
        source: returns ``status.source`` of a job by the file of its manifest.
    """

    revision: str
    condition: Mapping[str, str]
    source: Callable[[str], Mapping[str, str]] = field(compare=False)


class GitSync:
    """Keeps the checkout of a repository up to date, in a thread of its own.

    Args:
        settings: with a repository.
        runtimes: returns the runtimes that there are besides the repository's own, now.
        on_change: called from the thread when there is something new to read or to report.
        clock: seconds since the epoch.
        stop: set when the daemon ends; a running sync ends at once.
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
        self._thread = threading.Thread(target=self._run, name="git-sync", daemon=True)

    @property
    def current_revision(self) -> str:
        """The commit in the folder now."""
        return self._source.current_revision

    def source_revision(self, revision: str) -> SourceRevision:
        """Describe a folder of this revision."""
        settings = self._settings
        state = replace(self._source.state, revision=revision)
        return SourceRevision(
            revision=state.revision,
            condition=ready_condition(state),
            source=lambda file: job_source(settings, state, file),
        )

    def reconfigure(self, settings: Settings) -> None:
        """Use other settings from now on; a sync that they may let succeed is made at once."""
        self._settings = settings
        self._source.reconfigure(settings)
        self.sync_soon()

    def sync_once(self) -> None:
        """Sync now, and wait for it: for a run that does not go on.

        Raises:
            ReconcilerError: nothing is in force, and nothing could be put there.
        """
        state = self._sync()
        if not state.revision:
            raise ReconcilerError(state.message)

    def start(self, *, at_once: bool = True) -> None:
        """Start the thread."""
        if at_once:
            self._wake.set()
        self._thread.start()

    def sync_soon(self) -> None:
        """Sync now instead of when the interval ends."""
        self._wake.set()

    def close(self) -> None:
        """End; the daemon has been told to stop, so a running sync ends soon."""
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
                delay = self._delay(self._sync())
            except Exception:  # noqa: BLE001  (the thread's boundary: no commit may end the syncing)
                _log.exception("internal error", remedy="Please report it.")
                delay = max(self._settings.git_interval, LAST_RETRY)

    def _sync(self) -> RepositoryState:
        before = self._source.state
        state = self._source.sync()
        if self._stop.is_set():
            return state
        try:
            write_repository_status(self._settings, state)
        except StateError as error:
            _log.error("repository status write failed", reason=str(error))
        _log_changes(before, state)
        if state != before:
            self._on_change()
        return state

    def _delay(self, state: RepositoryState) -> float:
        interval = self._settings.git_interval
        if state.transient and not state.ready:
            soon = min(FIRST_RETRY, interval) * 2 ** min(state.failures - 1, 16)
            interval = min(soon, max(interval, LAST_RETRY))
        return interval * (1 + random.uniform(0, JITTER))  # noqa: S311  (nothing is to be kept secret)


def _log_changes(before: RepositoryState, now: RepositoryState) -> None:
    if now.ready and now.revision != before.revision:
        _log.info("git revision applied", revision=now.revision, ref=now.ref, signature=now.signature)
    elif now.ready and not before.ready:
        _log.info("git sync recovered", revision=now.revision)
    if now.warning and now.warning != before.warning:
        _log.warning("git links skipped", reason=now.warning, revision=now.revision)
    failed_before = (before.message, before.attempted_revision)
    if not now.ready and (now.message, now.attempted_revision) != failed_before:
        _log.error("git sync failed", cause=now.reason, reason=now.message)
