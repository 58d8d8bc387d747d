"""Folders with the manifests of one commit each, and the link that says which is in force (git-sync's way).

::

    <folder>/worktrees/<commit>-<path's mark>/<path>/job.yaml
    <folder>/current -> worktrees/<commit>-<path's mark>

A folder is made under a hidden name, looked at, and only then named and linked; the link is replaced in one
step, so a reader sees one commit or the other. The folder before stays, for readers that are in it.

A commit is somebody else's text. Only manifests are written, as plain files; a link is made only where it
leads to one of those, so nothing outside can be read through the checkout. Counts and sizes are limited
before anything is read.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import secrets
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.errors import StateError
from reconciler.sources.folder.manifest_files import is_manifest_name
from reconciler.sources.git.git_command import GitError
from reconciler.sources.git.mirror import GitMirror, TreeFile
from reconciler.state.atomic_files import write_atomically

MAX_FILES: Final = 10_000
MAX_FILE: Final = 8 * 1024 * 1024
MAX_TOTAL: Final = 64 * 1024 * 1024
#: Bytes of a path, as the kernel takes it.
LONGEST_LINK: Final = 4096
_NEW: Final = ".new-"
#: Links that are left out are named, up to so many.
_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """The manifests of a commit, not yet in force.

    Attributes:
        folder: where they are for now.
        name: what the folder will be called.
        files: how many there are.
        left_out: links that lead nowhere that may be read.
    """

    folder: Path
    name: str
    files: int
    left_out: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """What a person should know of it; "" when there is nothing."""
        if not self.left_out:
            return ""
        more = f" and {len(self.left_out) - _NAMED} more" if len(self.left_out) > _NAMED else ""
        names = ", ".join(self.left_out[:_NAMED])
        return f"links that lead out of the followed folder, or to no manifest, are left out: {names}{more}"


class Checkouts:
    """All folders of one repository.

    Args:
        folder: of the repository's state.
        path: within the repository, "" for all of it.
    """

    def __init__(self, folder: Path, path: str) -> None:
        self._folder = folder
        self._path = path

    @property
    def link(self) -> Path:
        """Leads to what is in force."""
        return self._folder / "current"

    @property
    def in_force(self) -> str:
        """The commit in force; "" before there is one, and when what it was checked out to is gone."""
        name = self._linked()
        return name.partition("-")[0] if name and (self._folder / "worktrees" / name).is_dir() else ""

    def has(self, commit: str) -> bool:
        """Whether this commit, and this path of it, is what is in force."""
        return bool(self.in_force) and self._linked() == self._name(commit)

    def make(self, mirror: GitMirror, commit: str, *, may_be_empty: bool) -> Checkout:
        """Write the manifests of a commit to a folder of their own.

        Args:
            mirror: has the commit.
            commit: to be checked out.
            may_be_empty: the path need not be there.

        Raises:
            GitError: it holds too much, or the path is not there.
            StateError: the disk refuses.
        """
        try:
            found = list(self._wanted(mirror, commit))
        except GitError as error:
            if error.reason != "PathNotFound" or not may_be_empty:
                raise
            found = []
        regular = {file.path: file for file in found if not file.link}
        # What a link says is read whole, and can be as large as a file.
        links = [file for file in found if file.link and file.size <= LONGEST_LINK]
        overlong = [file.path for file in found if file.link and file.size > LONGEST_LINK]
        self._check_sizes([*regular.values(), *links])
        place = self._folder / "worktrees" / f"{_NEW}{secrets.token_hex(4)}"
        root = place / self._path
        try:
            root.mkdir(parents=True)
            for file, content in mirror.contents(list(regular.values())):
                write_atomically(root / file.path, content, durable=False)
            left_out = _make_links(root, regular, mirror.contents(links))
        except OSError as error:
            raise StateError(f"Cannot write {place}: {error.strerror}.") from error
        return Checkout(
            folder=place,
            name=self._name(commit),
            files=len(regular),
            left_out=tuple(sorted([*left_out, *overlong])),
        )

    def put_in_force(self, checkout: Checkout) -> None:
        """Switch to a checkout; the one before stays until the next switch.

        Raises:
            StateError: the disk refuses; what was in force still is.
        """
        before = self._linked()
        final = self._folder / "worktrees" / checkout.name
        try:
            if final.exists():
                shutil.rmtree(final)
            checkout.folder.rename(final)
            new = self._folder / f"{_NEW}{secrets.token_hex(4)}"
            new.symlink_to(Path("worktrees", checkout.name))
            new.replace(self.link)
        except OSError as error:
            raise StateError(f"Cannot switch to {final}: {error.strerror}.") from error
        self.tidy(keep=before)

    def drop(self, checkout: Checkout) -> None:
        """The checkout will not be in force."""
        shutil.rmtree(checkout.folder, ignore_errors=True)

    def tidy(self, *, keep: str = "") -> None:
        """Remove folders that are neither in force nor to be kept, those of a killed process too."""
        wanted = {self._linked(), keep}
        with suppress(FileNotFoundError):
            for entry in os.scandir(self._folder / "worktrees"):
                if entry.name not in wanted:
                    shutil.rmtree(entry.path, ignore_errors=True)
        for path in self._folder.glob(f"{_NEW}*"):
            path.unlink(missing_ok=True)

    def _linked(self) -> str:
        try:
            return os.path.basename(os.readlink(self.link))  # noqa: PTH115, PTH119
        except OSError:
            return ""

    def _name(self, commit: str) -> str:
        return f"{commit}-{hashlib.sha256(self._path.encode()).hexdigest()[:8]}"

    def _wanted(self, mirror: GitMirror, commit: str) -> Iterable[TreeFile]:
        for file in mirror.files(commit, self._path):
            parts = file.path.split("/")
            if any(part.startswith(".") or not part.isprintable() for part in parts) or "" in parts:
                continue
            if file.link or is_manifest_name(parts[-1]):
                yield file

    def _check_sizes(self, files: Iterable[TreeFile]) -> None:
        total = count = 0
        for file in files:
            count, total = count + 1, total + file.size
            if file.size > MAX_FILE:
                raise _too_large(f"{file.path} has {file.size:,} bytes; more than {MAX_FILE:,} are not read")
            if count > MAX_FILES or total > MAX_TOTAL:
                raise _too_large(
                    f"there are more than {MAX_FILES:,} manifests, or {MAX_TOTAL:,} bytes of them"
                )


def _make_links(
    root: Path, files: Mapping[str, TreeFile], links: Iterable[tuple[TreeFile, bytes]]
) -> Iterable[str]:
    """Make the links that lead to files written here, or to their folders; yields the others."""
    folders = {parent for path in files for parent in _parents(path)}
    for link, content in list(links):
        here = posixpath.dirname(link.path)
        text = content.decode("utf-8", "replace")
        target = posixpath.normpath(posixpath.join(here, text))
        if text.startswith("/") or (target not in files and target not in folders):
            if is_manifest_name(posixpath.basename(link.path)):
                yield link.path
            continue
        place = root / link.path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(posixpath.relpath(target, here or "."))


def _parents(path: str) -> Iterable[str]:
    while path := posixpath.dirname(path):
        yield path


def _too_large(what: str) -> GitError:
    return GitError(
        f"The commit is not taken: {what}.",
        reason="TooLarge",
        remedy="Name a folder that holds only manifests with --path.",
    )
