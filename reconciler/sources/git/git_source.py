"""A git repository as the source of a folder: one sync puts in force what the ref names now, if it is good.

One sync (:meth:`GitSource.sync`): ask the remote where the ref points, fetch the commit, verify its signature
where that is demanded, write its manifests to a folder of their own, read and validate them as the daemon
will, switch. Whatever goes wrong on the way leaves the revision before in force, and is in
:class:`RepositoryState`; nothing is raised. A commit is accepted or rejected as a whole: half of a change is
not what anybody committed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.api.faults import RUNTIME_NOT_FOUND, Fault
from reconciler.config.settings import Settings
from reconciler.errors import ReconcilerError, StateError
from reconciler.sources.folder.folder_source import FolderSource
from reconciler.sources.git.checkout import Checkout, Checkouts
from reconciler.sources.git.commit_signatures import verify_commit
from reconciler.sources.git.git_command import GitCommand
from reconciler.sources.git.git_credentials import load_credentials
from reconciler.sources.git.git_errors import GitError
from reconciler.sources.git.mirror import GitMirror
from reconciler.state.record_store import RecordStore
from reconciler.state.requests.removal_requests import RemovalRequests

if TYPE_CHECKING:
    from reconciler.api import Document

SUCCEEDED: Final = "Succeeded"
#: The reason before the first sync.
PROGRESSING: Final = "Progressing"
#: Stem of the status file; a manifest of that name would share it.
STATUS_STEM: Final = "git-repository"
#: Faults of a rejected commit that the status shows.
MAX_FAULTS_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True)
class RepositoryState:
    """The result of the last sync.

    Attributes:
        revision: the commit in force; "" while there is none.
        attempted_revision: the commit that the last sync tried.
        ref: the full name of the ref that pointed to it.
        ready: what the ref names is in force.
        reason: one word for why it is, or is not.
        message: the sentence.
        since: when ``ready`` or the reason last changed, seconds since the epoch.
        faults: of the rejected commit, paths from the repository's top.
        warning: of the commit in force.
        signature: who signed it, where signatures are demanded.
        failures: failed syncs in a row.
        transient: time may mend it.
    """

    revision: str = ""
    attempted_revision: str = ""
    ref: str = ""
    ready: bool = False
    reason: str = PROGRESSING
    message: str = "The repository has not been looked at yet."
    since: float = 0.0
    faults: tuple[Fault, ...] = ()
    warning: str = ""
    signature: str = ""
    failures: int = 0
    transient: bool = False


class GitSource:
    """See the module; used from one thread at a time.

    Args:
        settings: with a repository.
        runtimes: returns the runtimes that there are besides the repository's own, now.
        clock: seconds since the epoch.
        stopped: whether a running sync must end.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        runtimes: Callable[[], Sequence[Document]],
        clock: Callable[[], float],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        assert settings.git is not None  # noqa: S101  (the caller checks it)
        assert settings.git_folder is not None  # noqa: S101
        self._settings = settings
        self._url, self._folder = settings.git, settings.git_folder
        self._runtimes = runtimes
        self._clock = clock
        self._stopped = stopped
        self._checkouts = Checkouts(self._folder, settings.git_path)
        revision = self._checkouts.current_commit
        self.state = RepositoryState(
            revision=revision, attempted_revision=revision, ref=settings.git_ref, since=clock()
        )

    def reconfigure(self, settings: Settings) -> None:
        """Use other settings from the next sync on; the repository and its folders stay the same."""
        self._settings = settings

    @property
    def current_revision(self) -> str:
        """The commit that readers of the folder find there now, before :attr:`state` has it; "" for none."""
        return self._checkouts.current_commit

    def sync(self) -> RepositoryState:
        """Sync once, putting in force what is good; returns the state afterwards."""
        before = self.state
        try:
            after = self._sync(before)
        except ReconcilerError as error:
            after = self._failed(self.state, error)
        except OSError as error:
            after = self._failed(self.state, StateError(f"{self._folder}: {error.strerror or error}."))
        if after is not self.state:
            self.state = self._dated(before, after)
        return self.state

    def check_remote(self) -> tuple[str, list[Fault]]:
        """Validate the commit that the ref names; returns it and its faults, and puts nothing in force.

        Raises:
            GitError: it cannot be fetched, or is not signed as demanded.
            StateError: the disk refuses.
        """
        mirror = self._mirror()
        commit = mirror.fetch(mirror.resolve(self._settings.git_ref))
        verify_commit(self._settings, mirror.git, commit)
        checkout = self._checkouts.create(mirror, commit, allow_missing=False)
        try:
            return commit, self._faults(checkout)
        finally:
            self._checkouts.discard(checkout)

    def _mirror(self) -> GitMirror:
        mirror = GitMirror(self._git())
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._folder / "worktrees").mkdir(exist_ok=True)
        except OSError as error:
            raise StateError(f"Cannot make {self._folder}: {error.strerror}.") from error
        mirror.prepare()
        return mirror

    def _git(self) -> GitCommand:
        credentials = load_credentials(self._settings, self._url)
        return GitCommand(
            folder=self._folder / "mirror.git",
            scheme=self._url.scheme,
            location=self._url.location,
            environment=credentials.environment,
            configuration=credentials.configuration,
            secrets=credentials.secrets,
            stopped=self._stopped,
        )

    def _sync(self, before: RepositoryState) -> RepositoryState:
        mirror = self._mirror()
        ref = mirror.resolve(self._settings.git_ref)
        # An annotated tag's object is not the commit: it is fetched to find that.
        known = ref.object == before.attempted_revision and mirror.has(ref.object)
        commit = ref.object if known else mirror.fetch(ref)
        self.state = replace(before, attempted_revision=commit, ref=ref.name)
        good = replace(
            self.state,
            revision=commit,
            ready=True,
            reason=SUCCEEDED,
            message=f"The revision in force is {ref.name} at {commit}.",
            signature=verify_commit(self._settings, mirror.git, commit),
            faults=(),
            failures=0,
            transient=False,
        )
        if self._checkouts.is_current(commit):
            return good
        checkout = self._checkouts.create(mirror, commit, allow_missing=self._may_be_empty())
        attempted = self.state
        try:
            self._validate(checkout, commit)
            # The state first: whoever reads the folder in the moment of the switch finds both.
            self.state = self._dated(before, replace(good, warning=checkout.warning))
            self._checkouts.activate(checkout)
        except BaseException:
            self.state = attempted
            self._checkouts.discard(checkout)
            raise
        mirror.retain_only(commit)
        return self.state

    def _dated(self, before: RepositoryState, after: RepositoryState) -> RepositoryState:
        same = (after.ready, after.reason) == (before.ready, before.reason)
        return replace(after, since=before.since if same else self._clock())

    def _failed(self, before: RepositoryState, error: ReconcilerError) -> RepositoryState:
        known = error if isinstance(error, GitError) else None
        in_force = f" The revision {before.revision[:12]} stays in force." if before.revision else ""
        return replace(
            before,
            ready=False,
            reason=known.reason if known else "StorageFailed",
            message=f"{error}{in_force}",
            faults=known.faults[:MAX_FAULTS_SHOWN] if known else (),
            failures=before.failures + 1,
            transient=known.transient if known else True,
        )

    def _validate(self, checkout: Checkout, commit: str) -> None:
        """Check that everything in it can be used.

        Raises:
            GitError: there is nothing in it, or something is wrong with it.
        """
        if not checkout.files and not self._may_be_empty():
            where = self._settings.git_path or "the repository"
            raise GitError(
                f"The commit {commit[:12]} leaves no manifest in {where}; that would remove every job, so it "
                "is not taken at its word.",
                reason="EmptyFolder",
                remedy="If it is meant, say so for each job (reconciler delete JOB...), or run with "
                "--allow-empty; else mend the repository or --path.",
            )
        faults = self._faults(checkout)
        errors = [f for f in faults if f.severity == "error" and f.reason != RUNTIME_NOT_FOUND]
        if errors:
            first = "; ".join(map(str, errors[:3]))
            more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
            raise GitError(
                f"The commit {commit[:12]} is not taken: {first}{more}.",
                reason="InvalidManifests",
                faults=errors,
            )

    def _may_be_empty(self) -> bool:
        """Whether a commit without manifests is believed: by settings, or each job was deleted by name."""
        if self._settings.allow_empty:
            return True
        records = RecordStore.of(self._settings)
        asked = RemovalRequests.of(self._settings).keys_for(records.load)
        if not asked:
            return False
        in_force = FolderSource(self._settings.specs, fallback_runtimes=self._runtimes()).scan(grace=False)
        return in_force.state == "ok" and asked >= in_force.jobs.keys()

    def _faults(self, checkout: Checkout) -> list[Fault]:
        """The faults of a checkout, with files named from the repository's top."""
        top, folder = checkout.folder, checkout.folder / self._settings.git_path
        catalog = FolderSource(folder, fallback_runtimes=self._runtimes()).scan(grace=False)
        faults = [replace(fault, file=_relative(fault.file, top)) for fault in catalog.faults]
        taken = next(folder.glob(f"{STATUS_STEM}.[yj]*"), None)
        if taken is not None:
            message = "the name is this program's, for the repository's own status: rename the file"
            faults.append(Fault(file=_relative(str(taken), top), line=1, path="", message=message))
        return faults


def _relative(file: str, folder: Path) -> str:
    return os.path.relpath(file, folder) if file.startswith(str(folder)) else file
