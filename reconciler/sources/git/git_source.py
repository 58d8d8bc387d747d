"""A git repository as the source of a folder: looks at it, and puts what is good there in force.

One look (:meth:`GitSource.look`): ask the remote where the ref stands, fetch the commit, see that it is
signed where that is demanded, write its manifests to a folder of their own, read and check them as the daemon
will, switch. Whatever goes wrong on the way leaves the revision before in force, and is told in
:class:`SourceState`; nothing is raised. A commit is taken or refused as a whole: half of a change is not what
anybody committed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.api.faults import Fault
from reconciler.config.settings import Settings
from reconciler.errors import ReconcilerError, StateError
from reconciler.sources.folder.catalog import RUNTIME_NOT_FOUND
from reconciler.sources.folder.folder_source import FolderSource
from reconciler.sources.git.checkout import Checkout, Checkouts
from reconciler.sources.git.git_command import Git, GitError
from reconciler.sources.git.git_credentials import ALLOWED_SIGNERS, GPG_KEYS, Access, access, credential_file
from reconciler.sources.git.mirror import GitMirror

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.config.git_urls import GitUrl

SUCCEEDED: Final = "Succeeded"
#: Before the first look.
PROGRESSING: Final = "Progressing"
#: Stem of the status file; a manifest of that name would share it.
STATUS_STEM: Final = "git-repository"
#: Faults that are told one by one.
FAULTS_TOLD: Final = 20


@dataclass(frozen=True, kw_only=True)
class SourceState:
    """How it stands with the repository.

    Attributes:
        revision: the commit in force; "" while there is none.
        attempted: the commit looked at last.
        ref: the full name that it stood at.
        ready: what the ref names is in force.
        reason: one word for why it is, or is not.
        message: the sentence.
        since: when ``ready`` or the reason last changed, seconds since the epoch.
        faults: of the refused commit, paths from the repository's top.
        warning: of the commit in force.
        signature: whose it is, where signatures are demanded.
        failures: looks in a row that did not succeed.
        passing: time may mend it.
    """

    revision: str = ""
    attempted: str = ""
    ref: str = ""
    ready: bool = False
    reason: str = PROGRESSING
    message: str = "The repository has not been looked at yet."
    since: float = 0.0
    faults: tuple[Fault, ...] = ()
    warning: str = ""
    signature: str = ""
    failures: int = 0
    passing: bool = False


class RefusedError(GitError):
    """The commit is not taken because of what its manifests say."""

    def __init__(self, message: str, *, reason: str, faults: Sequence[Fault] = (), remedy: str = "") -> None:
        super().__init__(message, reason=reason, remedy=remedy)
        self.faults = tuple(faults)


class GitSource:
    """See the module; used from one thread at a time.

    Args:
        settings: with a repository.
        runtimes: those there are besides the repository's own, now.
        clock: seconds since the epoch.
        stopped: whether a look under way must end.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        runtimes: Callable[[], Sequence[Document]],
        clock: Callable[[], float],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._url, self._folder = _place(settings)
        self._runtimes = runtimes
        self._clock = clock
        self._stopped = stopped
        self._checkouts = Checkouts(self._folder, settings.git_path)
        revision = self._checkouts.in_force
        self.state = SourceState(revision=revision, attempted=revision, ref=settings.git_ref, since=clock())

    def reconfigure(self, settings: Settings) -> None:
        """Other settings from the next look on; where the repository and its folders are stays."""
        self._settings = settings

    @property
    def in_force(self) -> str:
        """The commit that readers of the folder find there now, told of already or not; "" before one."""
        return self._checkouts.in_force

    def look(self) -> SourceState:
        """Look once, and put in force what is good; the state afterwards."""
        before = self.state
        try:
            after = self._take_over(before)
        except ReconcilerError as error:
            after = self._failed(self.state, error)
        except OSError as error:
            after = self._failed(self.state, StateError(f"{self._folder}: {error.strerror or error}."))
        if after is not self.state:
            self.state = self._dated(before, after)
        return self.state

    def _dated(self, before: SourceState, after: SourceState) -> SourceState:
        same = (after.ready, after.reason) == (before.ready, before.reason)
        return replace(after, since=before.since if same else self._clock())

    def examine(self) -> tuple[str, list[Fault]]:
        """The commit that the ref names, and all that is wrong with it; nothing is put in force.

        Raises:
            GitError: it cannot be had, or is not signed as demanded.
            StateError: the disk refuses.
        """
        mirror = self._mirror()
        commit = mirror.fetch(mirror.tip(self._settings.git_ref))
        self._verify(mirror, commit)
        checkout = self._checkouts.make(mirror, commit, may_be_empty=False)
        try:
            return commit, faults_of(checkout.folder, self._settings.git_path, self._runtimes())
        finally:
            self._checkouts.drop(checkout)

    def _mirror(self) -> GitMirror:
        mirror = GitMirror(self._url, self._git(access(self._settings, self._url)))
        self._make_folder()
        mirror.prepare()
        return mirror

    def _take_over(self, before: SourceState) -> SourceState:
        mirror = self._mirror()
        tip = mirror.tip(self._settings.git_ref)
        # A tag's object is not the commit; what is told apart is fetched.
        known = tip.object == before.attempted and mirror.has(tip.object)
        commit = tip.object if known else mirror.fetch(tip)
        self.state = replace(before, attempted=commit, ref=tip.name)
        signature = self._verify(mirror, commit)
        good = replace(
            self.state,
            revision=commit,
            ready=True,
            reason=SUCCEEDED,
            message=f"The revision in force is {tip.name} at {commit}.",
            signature=signature,
            faults=(),
            failures=0,
            passing=False,
        )
        if self._checkouts.has(commit):
            return good
        checkout = self._checkouts.make(mirror, commit, may_be_empty=self._settings.allow_empty)
        attempted = self.state
        try:
            self._check(checkout, commit)
            # Told first: whoever reads the folder in the moment of the switch finds both.
            self.state = self._dated(before, replace(good, warning=checkout.warning))
            self._checkouts.put_in_force(checkout)
        except BaseException:
            self.state = attempted
            self._checkouts.drop(checkout)
            raise
        mirror.keep(commit)
        return self.state

    def _failed(self, before: SourceState, error: ReconcilerError) -> SourceState:
        in_force = f" The revision {before.revision[:12]} stays in force." if before.revision else ""
        return replace(
            before,
            ready=False,
            reason=error.reason if isinstance(error, GitError) else "StorageFailed",
            message=f"{error}{in_force}",
            faults=error.faults[:FAULTS_TOLD] if isinstance(error, RefusedError) else (),
            failures=before.failures + 1,
            passing=not isinstance(error, GitError) or error.passing,
        )

    def _git(self, given: Access) -> Git:
        return Git(
            folder=self._folder / "mirror.git",
            scheme=self._url.scheme,
            location=self._url.location,
            environment=given.environment,
            configuration=given.configuration,
            secrets=given.secrets,
            stopped=self._stopped,
        )

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self._folder / "worktrees").mkdir(exist_ok=True)
        except OSError as error:
            raise StateError(f"Cannot make {self._folder}: {error.strerror}.") from error

    def _verify(self, mirror: GitMirror, commit: str) -> str:
        if not self._settings.git_verify:
            return ""
        signers = credential_file(ALLOWED_SIGNERS, self._settings.git_allowed_signers)
        keys = credential_file(GPG_KEYS, self._settings.git_gpg_keys)
        if signers is None and keys is None:
            raise GitError(
                "Signed commits are demanded (--git-verify), and nobody is allowed to sign.",
                reason="VerificationFailed",
                remedy="Name the signers with --git-allowed-signers FILE or --git-gpg-keys FILE.",
            )
        with _keyring(keys) as keyring:
            return mirror.verify(commit, signers=signers, keyring=keyring)

    def _check(self, checkout: Checkout, commit: str) -> None:
        """See that everything in it can be used.

        Raises:
            RefusedError: there is nothing in it, or something is wrong with it.
        """
        if not checkout.files and not self._settings.allow_empty:
            where = self._settings.git_path or "the repository"
            raise RefusedError(
                f"The commit {commit[:12]} leaves no manifest in {where}; that would remove every job, so it "
                "is not taken at its word.",
                reason="EmptyFolder",
                remedy="If it is meant, run with --allow-empty; else mend the repository or --path.",
            )
        faults = faults_of(checkout.folder, self._settings.git_path, self._runtimes())
        errors = [f for f in faults if f.severity == "error" and f.reason != RUNTIME_NOT_FOUND]
        if errors:
            first = "; ".join(map(str, errors[:3]))
            more = f"; and {len(errors) - 3} more" if len(errors) > 3 else ""
            raise RefusedError(
                f"The commit {commit[:12]} is not taken: {first}{more}.",
                reason="InvalidManifests",
                faults=errors,
            )


def faults_of(folder: Path, path: str, runtimes: Sequence[Document]) -> list[Fault]:
    """What is wrong in a checkout, files named from the repository's top."""
    catalog = FolderSource(folder / path, builtin=runtimes).scan(patient=False)
    faults = [replace(fault, file=_within(folder, fault.file)) for fault in catalog.faults]
    taken = next((folder / path).glob(f"{STATUS_STEM}.[yj]*"), None)
    if taken is not None:
        message = "the name is this program's, for the repository's own status: rename the file"
        faults.append(Fault(file=_within(folder, str(taken)), line=1, path="", message=message))
    return faults


def _within(folder: Path, file: str) -> str:
    return os.path.relpath(file, folder) if file.startswith(str(folder)) else file


def _place(settings: Settings) -> tuple[GitUrl, Path]:
    folder = settings.git_folder
    assert settings.git is not None  # noqa: S101  (asked by the caller)
    assert folder is not None  # noqa: S101
    return settings.git, folder


@contextmanager
def _keyring(keys: Path | None) -> Iterator[Path | None]:
    """A folder for gpg that holds these keys and no others; None without keys.

    Raises:
        GitError: they cannot be read.
    """
    import subprocess  # noqa: PLC0415  (only where OpenPGP is asked for)

    if keys is None:
        yield None
        return
    # gpg's agent has a socket there, whose path must be short.
    folder = Path(tempfile.mkdtemp(prefix="reconciler-gpg-"))
    command = ["gpg", "--homedir", str(folder), "--batch", "--quiet", "--no-autostart"]
    try:
        done = subprocess.run(
            [*command, "--import", "--", str(keys)], check=False, capture_output=True, timeout=60
        )
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().replace("\n", "; ")[:300]
            raise GitError(f"{keys} holds no OpenPGP keys: {said}.", reason="VerificationFailed")
        yield folder
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise GitError(f"gpg cannot be used: {error}.", reason="VerificationFailed") from None
    finally:
        with suppress(OSError):
            shutil.rmtree(folder, ignore_errors=True)
