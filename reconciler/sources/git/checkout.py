"""Folders with the manifests of one commit each, and the link to the one in force (as git-sync does it).

::

    <folder>/worktrees/<commit>-<hash of the path>/<path>/job.yaml
    <folder>/current -> worktrees/<commit>-<hash of the path>

A folder is made under a hidden name, validated, and only then named and linked; the link is replaced in one
step, so a reader sees one commit or the other. The folder before stays, for readers that are in it.

A commit is untrusted input. Only manifests are written, as plain files; a link is made only where it
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

from reconciler.common.path_presence import is_folder
from reconciler.common.unicode_text import escape_bytes
from reconciler.errors import StateError
from reconciler.sources.folder.manifest_files import is_manifest_name
from reconciler.sources.git.git_errors import GitError
from reconciler.sources.git.mirror import GitMirror, TreeFile
from reconciler.state.atomic_files import write_atomically

MAX_FILES: Final = 10_000
MAX_FILE_BYTES: Final = 8 * 1024 * 1024
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024
#: Bytes of a path that the kernel accepts.
MAX_LINK_BYTES: Final = 4096
_TEMPORARY_PREFIX: Final = ".new-"
#: Skipped links that a warning names, at most.
_LINKS_NAMED: Final = 5


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """The manifests of a commit, not yet in force.

    Attributes:
        folder: where they are until then.
        name: of the folder once it is in force.
        files: number of manifests.
        skipped_links: links that lead to nothing that may be read.
    """

    folder: Path
    name: str
    files: int
    skipped_links: tuple[str, ...] = ()

    @property
    def warning(self) -> str:
        """A warning about skipped links; "" when there are none."""
        if not self.skipped_links:
            return ""
        unnamed = len(self.skipped_links) - _LINKS_NAMED
        more = f" and {unnamed} more" if unnamed > 0 else ""
        names = ", ".join(self.skipped_links[:_LINKS_NAMED])
        return f"links that lead out of the followed folder, or to no manifest, are left out: {names}{more}"


class Checkouts:
    """The checkouts of one repository.

    Args:
        folder: the repository's state folder.
        path: within the repository, "" for all of it.
    """

    def __init__(self, folder: Path, path: str) -> None:
        self._folder = folder
        self._path = path
        self._link = folder / "current"

    @property
    def current_commit(self) -> str:
        """The commit in force; "" before there is one, and when its folder is gone."""
        name = self._current_name()
        return name.partition("-")[0] if name and is_folder(self._folder / "worktrees" / name) else ""

    def is_current(self, commit: str) -> bool:
        """Whether this commit, and this path of it, is in force."""
        return bool(self.current_commit) and self._current_name() == self._name(commit)

    def create(self, mirror: GitMirror, commit: str, *, allow_missing: bool) -> Checkout:
        """Write the manifests of a commit to a folder of their own.

        Args:
            mirror: holds the commit.
            commit: the commit to check out.
            allow_missing: the path need not be there.

        Raises:
            GitError: it holds too much, or the path is not there.
            StateError: the disk refuses.
        """
        try:
            found = list(self._manifests(mirror, commit))
        except GitError as error:
            if error.reason != "PathNotFound" or not allow_missing:
                raise
            found = []
        regular = {file.path: file for file in found if not file.link}
        # A link's target is read whole, and can be as large as a file.
        links = [file for file in found if file.link and file.size <= MAX_LINK_BYTES]
        overlong = [escape_bytes(file.path) for file in found if file.link and file.size > MAX_LINK_BYTES]
        self._check_sizes([*regular.values(), *links])
        place = self._folder / "worktrees" / f"{_TEMPORARY_PREFIX}{secrets.token_hex(4)}"
        root = place / self._path
        try:
            root.mkdir(parents=True)
            for file, content in mirror.read_files(list(regular.values())):
                write_atomically(root / file.path, content, durable=False)
            skipped = _make_links(root, regular, mirror.read_files(links))
        except OSError as error:
            raise StateError(f"Cannot write {place}: {error.strerror}.") from error
        return Checkout(
            folder=place,
            name=self._name(commit),
            files=len(regular),
            skipped_links=tuple(sorted([*skipped, *overlong])),
        )

    def activate(self, checkout: Checkout) -> None:
        """Put a checkout in force; the one before stays until the next switch.

        Raises:
            StateError: the disk refuses; what was in force still is.
        """
        before = self._current_name()
        final = self._folder / "worktrees" / checkout.name
        try:
            if final.exists():
                shutil.rmtree(final)
            checkout.folder.rename(final)
            new = self._folder / f"{_TEMPORARY_PREFIX}{secrets.token_hex(4)}"
            new.symlink_to(Path("worktrees", checkout.name))
            new.replace(self._link)
        except OSError as error:
            raise StateError(f"Cannot switch to {final}: {error.strerror}.") from error
        self._remove_others(keep=before)

    def discard(self, checkout: Checkout) -> None:
        """Remove a checkout that is not to be in force."""
        shutil.rmtree(checkout.folder, ignore_errors=True)

    def _remove_others(self, *, keep: str) -> None:
        """Remove folders that are neither in force nor to be kept, those of a killed process included."""
        wanted = {self._current_name(), keep}
        # The switch is done: what cannot be removed now is removed after the next one.
        with suppress(OSError), os.scandir(self._folder / "worktrees") as entries:
            for entry in entries:
                if entry.name not in wanted:
                    shutil.rmtree(entry.path, ignore_errors=True)
        with suppress(OSError):
            for path in self._folder.glob(f"{_TEMPORARY_PREFIX}*"):
                path.unlink(missing_ok=True)

    def _current_name(self) -> str:
        try:
            return os.path.basename(os.readlink(self._link))  # noqa: PTH115, PTH119
        except OSError:
            return ""

    def _name(self, commit: str) -> str:
        return f"{commit}-{hashlib.sha256(self._path.encode()).hexdigest()[:8]}"

    def _manifests(self, mirror: GitMirror, commit: str) -> Iterable[TreeFile]:
        for file in mirror.list_files(commit, self._path):
            parts = file.path.split("/")
            if (
                any(part.startswith(".") or not escape_bytes(part).isprintable() for part in parts)
                or "" in parts
            ):
                continue
            if file.link or is_manifest_name(parts[-1]):
                yield file

    def _check_sizes(self, files: Iterable[TreeFile]) -> None:
        total = count = 0
        for file in files:
            count, total = count + 1, total + file.size
            if file.size > MAX_FILE_BYTES:
                path = escape_bytes(file.path)
                raise _too_large(f"{path} has {file.size:,} bytes; more than {MAX_FILE_BYTES:,} are not read")
            if count > MAX_FILES or total > MAX_TOTAL_BYTES:
                raise _too_large(
                    f"there are more than {MAX_FILES:,} manifests, or {MAX_TOTAL_BYTES:,} bytes of them"
                )


def _make_links(
    root: Path, files: Mapping[str, TreeFile], links: Iterable[tuple[TreeFile, bytes]]
) -> Iterable[str]:
    """Make the links that lead to files written here, or to their folders; yields the skipped ones."""
    folders = {parent for path in files for parent in _parents(path)}
    for link, content in list(links):
        here = posixpath.dirname(link.path)
        text = content.decode("utf-8", "replace")
        target = posixpath.normpath(posixpath.join(here, text))
        if text.startswith("/") or (target not in files and target not in folders):
            if is_manifest_name(posixpath.basename(link.path)):
                yield escape_bytes(link.path)
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
