"""Lists the manifest files of a folder, without reading them.

A folder is rarely as tidy as its description. Editors leave files of their own, git-sync swaps a symlink
(``current -> rev-abc``), a mounted ConfigMap is made of links into hidden folders, links may form loops.
The rules here: a folder is walked once, however many paths lead to it, and a path through a link comes first
(``current/job.yaml`` keeps its name when the revision behind it changes); a link to a file that
is found under its own name anyway is left out; a link to the folder itself or above it is a loop. Whatever
the system answers about one entry, or that it does not answer, is that entry's fault; the others are listed.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from reconciler.common.host_looks import LOOKS, Step, UnansweredError
from reconciler.common.os_errors import reason_of
from reconciler.common.regular_files import describe_unfit
from reconciler.common.unicode_text import escape_bytes, is_unicode
from reconciler.config.settings_file import FILE_NAME
from reconciler.state.sidecar_files import MANIFEST_SUFFIXES, SIDECAR_SUFFIX

#: Read although it has no suffix, so that a warning can say that it is not rendered.
KUSTOMIZATION: Final = "Kustomization"
#: More than this is a mistake (``--specs /``), and would make every rescan slow.
MAX_ENTRIES: Final = 200_000

#: mtime, ctime, size, inode, device: a file whose signature is the same is taken as unchanged.
Signature = tuple[int, int, int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestFile:
    """A manifest file; ``mtime`` in seconds since the epoch."""

    path: str
    signature: Signature
    mtime: float


@dataclass(kw_only=True)
class FolderListing:
    """The result of walking a folder.

    Attributes:
        state: ``ok``, or why nothing could be listed.
        reason: the system's message for it.
        identity: device and inode of the folder itself.
        files: manifests by path, in the order of their paths.
        unreadable: files, folders and dangling links that are there but cannot be read: path to reason.
        real_folders: the folders read, links resolved; a watcher must watch them.
        link_folders: folders that hold a symlink on the path to something; a swap of the link shows there.
        links: those symlinks.
        unanswered: something is on a file system that does not answer.
        sidecars: number of status sidecars; with one this is a folder that a daemon has worked on.
    """

    state: Literal["ok", "missing", "unreadable"] = "ok"
    reason: str = ""
    identity: tuple[int, int] | None = None
    files: dict[str, ManifestFile] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    real_folders: list[str] = field(default_factory=list)
    link_folders: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    unanswered: bool = False
    sidecars: int = 0


def is_manifest_name(name: str) -> bool:
    """Whether a file of this name (no folder) is read as a manifest."""
    lower = name.lower()
    return name == KUSTOMIZATION or (
        lower.endswith(MANIFEST_SUFFIXES)
        and not name.startswith((".", "#", "~"))
        and not lower.endswith(SIDECAR_SUFFIX)
        and name != FILE_NAME  # the configuration
    )


def list_manifest_files(root: str) -> FolderListing:
    """List the manifests under ``root``; never raises for what it finds there."""
    listing = FolderListing()
    found = LOOKS.resolve([root])[0]
    if found.error is not None:
        listing.state, listing.reason = "unreadable", reason_of(found.error)
        return listing
    _record_links(listing, root)
    if found.facts is None:
        listing.state, listing.reason = "missing", "there is no such folder"
        return listing
    if not stat.S_ISDIR(found.facts.st_mode):
        listing.state, listing.reason = "unreadable", "it is not a folder"
        return listing
    listing.identity = (found.facts.st_dev, found.facts.st_ino)
    _Walk(listing, root, found.real).run()
    listing.files = dict(sorted(listing.files.items()))
    return listing


class _Entry(NamedTuple):
    """What a folder holds: ``facts`` of a manifest, or why there are none."""

    name: str
    kind: Literal["link", "folder", "manifest", "sidecar"]
    facts: os.stat_result | OSError | None = None


class _Walk:
    """Walks breadth first, so that of several paths to a folder the shortest is taken."""

    def __init__(self, listing: FolderListing, root: str, real_root: str) -> None:
        self.listing = listing
        self.root = root
        self.real_root = real_root
        self.pending: deque[tuple[str, str]] = deque([(root, self.real_root)])
        self.visited = {self.real_root}
        self.file_links: list[tuple[str, str, os.stat_result]] = []
        self.real_files: set[str] = set()
        self.entries = 0

    def run(self) -> None:
        while self.pending:
            shown, real = self.pending.popleft()
            self._folder(shown, real)
        for path, target, facts in self.file_links:
            if target not in self.real_files:
                self.real_files.add(target)
                self._file(path, facts)

    def _folder(self, shown: str, real: str) -> None:
        try:
            count, entries = LOOKS.run(real, lambda step: _list_entries(real, step))
        except FileNotFoundError:
            return
        except OSError as error:
            self.listing.unanswered |= isinstance(error, UnansweredError)
            reason = reason_of(error)
            if shown == self.root:
                self.listing.state, self.listing.reason = "unreadable", reason
            self.listing.unreadable[shown] = f"the folder cannot be listed: {reason}"
            return
        self.listing.real_folders.append(real)
        self.entries += count
        if self.entries > MAX_ENTRIES:
            self.listing.state = "unreadable"
            self.listing.reason = (
                f"it holds more than {MAX_ENTRIES} files; give one that holds only manifests"
            )
            self.pending.clear()
            return
        folders: list[tuple[str, str]] = []
        for entry in entries:
            if not is_unicode(entry.name):
                path = os.path.join(shown, escape_bytes(entry.name))  # noqa: PTH118
                self.listing.unreadable[path] = "its name is not UTF-8 text; rename it"
                continue
            path, real_path = os.path.join(shown, entry.name), os.path.join(real, entry.name)  # noqa: PTH118
            match entry.kind:
                case "link":
                    self._link(path)
                case "folder":
                    folders.append((path, real_path))
                case "manifest":
                    self.real_files.add(real_path)
                    self._file(path, entry.facts)
                case "sidecar":
                    self.listing.sidecars += 1
        for path, real_path in folders:
            self._enter(path, real_path)

    def _link(self, path: str) -> None:
        found = LOOKS.resolve([path])[0]
        target, facts = found.real, found.facts
        if found.error is not None:
            # Its target is not asked for again: it may be on a file system that does not answer.
            self.listing.links.add(path)
            self.listing.unanswered |= isinstance(found.error, UnansweredError)
            self.listing.unreadable[path] = f"the link cannot be followed: {reason_of(found.error)}"
        elif facts is None:
            _record_links(self.listing, path)
            self.listing.unreadable[path] = f"the link points to {escape_bytes(target)}, which is not there"
        elif stat.S_ISDIR(facts.st_mode):
            _record_links(self.listing, path)
            if not is_inside(self.real_root, target):
                self._enter(path, target)
        elif is_manifest_name(os.path.basename(path)):  # noqa: PTH119
            _record_links(self.listing, path)
            self.file_links.append((path, target, facts))

    def _enter(self, path: str, real: str) -> None:
        if real not in self.visited:
            self.visited.add(real)
            self.pending.append((path, real))

    def _file(self, path: str, facts: os.stat_result | OSError | None) -> None:
        if facts is None:
            return
        if isinstance(facts, OSError):
            self.listing.unreadable[path] = reason_of(facts)
            return
        if words := describe_unfit(facts.st_mode):
            self.listing.unreadable[path] = words
            return
        self.listing.files[path] = ManifestFile(
            path=path, signature=signature_of(facts), mtime=facts.st_mtime
        )


def _list_entries(folder: str, step: Step) -> tuple[int, list[_Entry]]:
    """The number of entries of a folder, and those that matter, by name."""
    with os.scandir(folder) as scanned:
        entries = sorted(scanned, key=lambda entry: entry.name)
    found: list[_Entry] = []
    for entry in entries[: MAX_ENTRIES + 1]:
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            found.append(_Entry(entry.name, "link"))
        elif entry.is_dir(follow_symlinks=False):
            found.append(_Entry(entry.name, "folder"))
        elif is_manifest_name(entry.name):
            step(entry.path)
            found.append(_Entry(entry.name, "manifest", _facts_of(entry)))
        elif entry.name.endswith(SIDECAR_SUFFIX):
            found.append(_Entry(entry.name, "sidecar"))
    return len(entries), found


def _facts_of(entry: os.DirEntry[str]) -> os.stat_result | OSError | None:
    """The facts of a file; None where it has gone meanwhile."""
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error


def signature_of(facts: os.stat_result) -> Signature:
    """The signature of a file."""
    return (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino, facts.st_dev)


def with_parents(path: str) -> Iterator[str]:
    """The path, and every folder above it."""
    while path:
        yield path
        parent = os.path.dirname(path)  # noqa: PTH120  (text compared with text: no normalization)
        if parent == path:
            return
        path = parent


def is_inside(inner: str, outer: str) -> bool:
    """Whether a path equals the other or is below it, compared as text."""
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _record_links(listing: FolderListing, path: str) -> None:
    """Record every symlink that ``path`` goes through, those behind links included."""
    for link in _links_in(os.path.abspath(path)):  # noqa: PTH100  (no link may be resolved here)
        listing.links.add(link)
        listing.link_folders.add(os.path.realpath(os.path.dirname(link)))  # noqa: PTH120


def _links_in(path: str, *, hops: int = 40) -> Iterator[str]:
    """The symlinks on an absolute path, each under its name in a folder without links."""
    todo = [part for part in path.split("/") if part][::-1]
    current = "/"
    while todo:
        part = todo.pop()
        if part == "..":
            current = os.path.dirname(current)  # noqa: PTH120
            continue
        step = os.path.join(current, part)  # noqa: PTH118
        try:
            target = os.readlink(step)  # noqa: PTH115
        except OSError:
            current = step
            continue
        yield step
        hops -= 1
        if hops < 0:
            return
        if target.startswith("/"):
            current = "/"
        todo.extend(part for part in reversed(target.split("/")) if part not in {"", "."})
