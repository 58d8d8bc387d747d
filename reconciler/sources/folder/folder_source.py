"""Scans the folder of manifests, incrementally: a scan lists everything and reads what has changed.

What looks half-done is held back for a moment (:mod:`reconciler.sources.folder.grace_periods`), the objects
of before staying in force.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.config.settings import Settings
from reconciler.errors import NotAFolder, ReconcilerError
from reconciler.names import job_key
from reconciler.sources.folder.catalog import (
    JOB_KIND,
    Catalog,
    FolderState,
    ObjectId,
    is_named,
    object_id,
)
from reconciler.sources.folder.grace_periods import MASS_REMOVAL, REPLACED_FOLDER_GRACE, TrackedFile
from reconciler.sources.folder.last_good import FileView, resolve
from reconciler.sources.folder.manifest_files import FolderListing, list_manifest_files, with_parents
from reconciler.sources.folder.manifest_reader import unreadable_fault

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.sources.folder.file_watcher import FileWatcher


class FolderSource:
    """Reads a folder of manifests; may be scanned from any thread, one at a time.

    Args:
        root: the folder; need not exist.
        fallback_runtimes: used where the folder has none of that name; the first of a name wins.
        clock: seconds since the epoch, as file times are.
        allow_empty: believe a folder without a file, also one that is not known from before.
        removed_by_name: returns the keys of jobs that a person asked to be removed: their manifests count as
            removed where there is no file at all.
        is_guarded: returns whether the statuses say that jobs go on without their manifests: then a folder
            without a file is not believed, however few are left of them.
    """

    def __init__(
        self,
        root: Path,
        *,
        fallback_runtimes: Sequence[Document] = (),
        clock: Callable[[], float] = time.time,
        allow_empty: bool = False,
        removed_by_name: Callable[[], frozenset[str]] = frozenset,
        is_guarded: Callable[[], bool] = bool,
    ) -> None:
        self.root = root
        self._removed_by_name = removed_by_name
        self._is_guarded = is_guarded
        self._allow_empty = allow_empty
        self._fallback_runtimes = tuple(fallback_runtimes)
        self._clock = clock
        self._lock = threading.Lock()
        self._files: dict[str, TrackedFile] = {}
        self._last_good: Mapping[ObjectId, Document] = {}
        self._identity: tuple[int, int] | None = None
        self._replaced_at: float | None = None
        self._was_empty = False
        self._watcher: FileWatcher | None = None
        self._last: tuple[object, Catalog] | None = None

    def set_fallback_runtimes(self, documents: Sequence[Document]) -> None:
        """Use other runtimes from the next scan on (a remote source was read again)."""
        with self._lock:
            self._fallback_runtimes = tuple(documents)

    def set_allow_empty(self, allow_empty: bool) -> None:
        """Change from the next scan on whether a folder without a file is believed."""
        self._allow_empty = allow_empty

    def scan(self, *, grace: bool = True) -> Catalog:
        """Scan the folder as it is now; returns the same object as before when nothing has changed.

        Args:
            grace: hold back what looks half-done; False takes everything at its word, for a single scan
                without a next one.
        """
        with self._lock:
            now = self._clock()
            listing = list_manifest_files(str(self.root))
            removed = self._removed_by_name() if listing.state == "ok" else frozenset()
            if removed and not listing.files:
                self._forget(removed)
            state = self._state(listing)
            if state == "ok":
                self._read_changes(listing, now, grace=grace)
                if listing.files or self._allow_empty:
                    self._identity = listing.identity
            self._was_empty = state == "empty"
            catalog = self._catalog(listing, state, removed)
            if self._watcher is not None:
                self._watcher.watch(listing)
                if catalog.rescan_at is not None:
                    self._watcher.call_in(max(0.0, catalog.rescan_at - now))
            return catalog

    def watch(self, on_change: Callable[[], None]) -> FileWatcher:
        """Call ``on_change`` (from a thread of the watcher's) soon after anything has changed.

        Also when a grace period ends, so that a scan at each call is enough.
        A source has one watcher at a time; close it when done.
        """
        from reconciler.sources.folder.file_watcher import FileWatcher  # noqa: PLC0415  (slow to import)

        watcher = FileWatcher(str(self.root), on_change)
        watcher.watch(list_manifest_files(str(self.root)))
        self._watcher = watcher
        return watcher

    def _state(self, listing: FolderListing) -> FolderState:
        if listing.state != "ok":
            return listing.state
        if listing.files or listing.unreadable or self._allow_empty:
            return "ok"
        known = listing.identity == self._identity
        if known:
            lost = sum(file.signature is not None for file in self._files.values())
        else:
            # Known from before only by the sidecars left there, of jobs whose manifests have gone since.
            lost = listing.sidecars or MASS_REMOVAL
        if lost >= MASS_REMOVAL:
            return "empty"
        # Jobs that are removed by name meanwhile make the loss of the others no smaller.
        guarded = lost and ((known and self._was_empty) or self._is_guarded())
        return "empty" if guarded else "ok"

    def _read_changes(self, listing: FolderListing, now: float, *, grace: bool) -> None:
        came_back = self._was_empty and listing.files
        if came_back or (self._identity is not None and listing.identity != self._identity):
            self._replaced_at = now
        for path, found in listing.files.items():
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = TrackedFile()
                if self._replaced_at is not None and now < self._replaced_at + REPLACED_FOLDER_GRACE:
                    self._replaced_at = now
            file.update(found, now, grace=grace)
        for path in [path for path in self._files if path not in listing.files]:
            file = self._files[path]
            if any(above in listing.unreadable for above in with_parents(path)):
                file.signature = None
            elif file.is_removed(now, folder_replaced_at=self._replaced_at, grace=grace):
                del self._files[path]

    def _forget(self, removed: frozenset[str]) -> None:
        """Take jobs out of files that are not there, which an emptied folder keeps in force otherwise."""
        for path, file in list(self._files.items()):
            kept = tuple(doc for doc in file.content.documents if _job_key(doc) not in removed)
            if len(kept) == len(file.content.documents):
                continue
            if any(doc.kind == JOB_KIND for doc in kept):
                # Read again if it comes back, also with the same signature.
                file.content = replace(file.content, documents=kept, digest=b"")
                file.version += 1
                file.reread = True
            else:
                del self._files[path]

    def _catalog(self, listing: FolderListing, state: FolderState, removed: frozenset[str]) -> Catalog:
        faults = {path: (unreadable_fault(path, reason),) for path, reason in listing.unreadable.items()}
        if state in {"missing", "unreadable"}:
            faults[str(self.root)] = (unreadable_fault(str(self.root), listing.reason),)
        held = {path for path, file in self._files.items() if file.held or file.content.unreadable}
        ends = [file.grace_until for file in self._files.values() if file.grace_until is not None]
        folder = Catalog(
            state=state,
            unprunable_paths=frozenset(held | listing.unreadable.keys()),
            removed_by_name=removed,
            rescan_at=min(ends, default=None) if state == "ok" else None,
            file_faults=faults,
        )
        key = (
            state,
            folder.unprunable_paths,
            removed,
            folder.rescan_at,
            tuple(faults.items()),
            self._fallback_runtimes,
            tuple((path, file.version, file.held) for path, file in self._files.items()),
        )
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        files = [
            FileView(path=path, documents=f.content.documents, faults=f.content.faults, held=f.held)
            for path, f in sorted(self._files.items())
        ]
        catalog, self._last_good = resolve(
            files, self._last_good, fallback_runtimes=self._fallback_runtimes, folder=folder
        )
        self._last = key, catalog
        return catalog


def _job_key(document: Document) -> str:
    """``namespace/name`` of a TrainJob; "" of anything else."""
    if document.kind != JOB_KIND or not is_named(document):
        return ""
    return job_key(*object_id(document)[1:])


def require_specs_folder(settings: Settings) -> None:
    """Check that the folder of manifests is there.

    Raises:
        ReconcilerError: it is not.
    """
    if settings.specs.is_dir():
        return
    if settings.git is not None:
        raise ReconcilerError(
            f"No revision of {settings.git} is checked out.", remedy="A daemon does that: reconciler run."
        )
    if settings.specs.exists():
        raise NotAFolder(str(settings.specs))
    raise ReconcilerError(
        f"The folder of manifests {settings.specs} is not there.",
        remedy="Make it and put manifests in, or name another one with --specs DIR.",
    )
