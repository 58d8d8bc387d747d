"""The folder of manifests as the desired state: read incrementally, and never believed in haste.

A scan lists everything and reads what has changed. Three things look like a removal or a fault and are
mostly neither, so they are held back for a moment, the objects of before staying in force:

* a file that does not parse, or has lost objects, and was changed less than a second ago (half-written);
* a file that has just vanished (editors rename, ``git checkout`` removes and makes);
* all files of a folder that has been taken away and made anew.

A folder that has lost all of its files at once (a checkout that failed, a hand that slipped) is not believed
until somebody says so; a last file alone may be removed like any other.

What can go wrong: clocks of network file systems run ahead, so a change "in the future" counts from when it
was first seen; a file changed twice within one tick of the file system's clock looks unchanged, so one that
was changed just before it was read is read once more.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from reconciler.api.faults import Fault
from reconciler.sources.folder.last_good import FileView, FolderView, ObjectId, Resolver, is_named, object_id
from reconciler.sources.folder.manifest_files import Found, Layout, Signature, walk, with_parents

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.sources.folder.catalog import Catalog, FolderState
    from reconciler.sources.folder.file_watcher import Watcher

#: Seconds after its last change until a file that looks half-written is taken at its word.
SETTLE: Final = 1.0
#: Seconds until a vanished file's objects count as removed.
VANISH: Final = 0.5
#: The same after the whole folder was replaced: somebody may still be filling it.
REPLACED: Final = 2.0
#: Files that nobody removes at once, and leaves none, without saying that it is meant.
MANY: Final = 2
#: A file changed this shortly before it was read may change again without looking different.
RACY: Final = 0.05
#: No more than this of a file is read into memory; what is larger is refused by the loader anyway.
READ_LIMIT: Final = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What a file says."""

    documents: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()
    #: Of its bytes.
    digest: bytes = b""
    #: It could not be read (permission, I/O): try again at every scan.
    unread: bool = False

    @property
    def objects(self) -> set[ObjectId]:
        return {object_id(doc) for doc in self.documents if is_named(doc)}

    @property
    def faulty(self) -> bool:
        return any(f.severity == "error" for f in self.faults) or not all(d.valid for d in self.documents)


@dataclass(kw_only=True)
class _File:
    """A file across scans.

    Attributes:
        content: taken at its word; ``version`` counts its changes.
        settle_at: while set, what is on disk now is not ``content``: wait until then.
        racy: changed so shortly before it was read that it must be read again.
        since: when this signature was first seen.
    """

    path: str
    content: _Content = field(default_factory=_Content)
    version: int = 0
    signature: Signature | None = None
    settle_at: float | None = None
    racy: bool = False
    since: float = 0.0

    @property
    def held(self) -> bool:
        return self.settle_at is not None


class FolderSource:
    """Reads a folder of manifests; may be scanned from any thread, one at a time.

    Args:
        root: the folder; need not exist.
        builtin: runtimes used where the folder has none of that name, the first of a name wins.
        clock: seconds since the epoch, as file times are.
        may_be_empty: a folder without a file is taken at its word, also where it is not known from before.
    """

    def __init__(
        self,
        root: Path,
        *,
        builtin: Sequence[Document] = (),
        clock: Callable[[], float] = time.time,
        may_be_empty: bool = False,
    ) -> None:
        self.root = root
        self._may_be_empty = may_be_empty
        self._builtin = tuple(builtin)
        self._clock = clock
        self._lock = threading.Lock()
        self._files: dict[str, _File] = {}
        self._resolver = Resolver(_check)
        self._identity: tuple[int, int] | None = None
        self._replaced_at: float | None = None
        self._was_empty = False
        self._watcher: Watcher | None = None
        self._last: tuple[object, Catalog] | None = None

    def replace_builtin(self, documents: Sequence[Document]) -> None:
        """Use other runtimes from the next scan on (a remote source was read again)."""
        with self._lock:
            self._builtin = tuple(documents)

    def let_be_empty(self, may_be_empty: bool) -> None:
        """Change from the next scan on whether a folder without a file is taken at its word."""
        self._may_be_empty = may_be_empty

    def scan(self, *, patient: bool = True) -> Catalog:
        """The folder as it is now; the same object as before when nothing has changed.

        Args:
            patient: hold back what looks half-done (see the module); False takes everything at its
                word, for a single look without a next one.
        """
        with self._lock:
            now = self._clock()
            layout = walk(str(self.root))
            state = self._state(layout)
            if state == "ok":
                self._read_changes(layout, now, patient=patient)
                if layout.files or self._may_be_empty:
                    self._identity = layout.identity
            self._was_empty = state == "empty"
            catalog = self._catalog(layout, state)
            if self._watcher is not None:
                self._watcher.follow(layout)
                if catalog.unsettled_until is not None:
                    self._watcher.call_in(max(0.0, catalog.unsettled_until - now))
            return catalog

    def watch(self, on_change: Callable[[], None]) -> Watcher:
        """Call ``on_change`` (from a thread of the watcher's) soon after anything has changed.

        Also when something held back is due, so that a scan at each call is all there is to do.
        A source has one watcher at a time; close it when done.
        """
        from reconciler.sources.folder.file_watcher import Watcher  # noqa: PLC0415  (watchdog is slow to import)

        watcher = Watcher(str(self.root), on_change)
        watcher.follow(walk(str(self.root)))
        self._watcher = watcher
        return watcher

    def _state(self, layout: Layout) -> FolderState:
        if layout.state != "ok":
            return layout.state
        if layout.files or layout.unreadable or self._may_be_empty:
            return "ok"
        if layout.identity == self._identity:
            lost = sum(file.signature is not None for file in self._files.values())
        else:
            # Not known from before but by what was left there, of jobs whose manifests have gone since.
            lost = layout.sidecars or MANY
        return "ok" if lost < MANY else "empty"

    # -- reading

    def _read_changes(self, layout: Layout, now: float, *, patient: bool) -> None:
        came_back = self._was_empty and layout.files
        if came_back or (self._identity is not None and layout.identity != self._identity):
            self._replaced_at = now
        for path, found in layout.files.items():
            file = self._files.get(path)
            if file is None:
                file = self._files[path] = _File(path=path)
                if self._replaced_at is not None and now < self._replaced_at + REPLACED:
                    self._replaced_at = now
            self._refresh(file, found, now, patient=patient)
        for path in [path for path in self._files if path not in layout.files]:
            self._vanished(path, layout, now, patient=patient)

    def _refresh(self, file: _File, found: Found, now: float, *, patient: bool) -> None:
        same = file.signature == found.signature
        if same and not (file.held or file.racy or file.content.unread):
            return
        content, signature = _read(found, file.content)
        if not same or file.since > now:  # or the clock was set back
            file.since = now
        file.signature = signature
        changed_at = found.mtime if found.mtime <= now else file.since
        file.racy = now - changed_at < RACY
        torn = signature != found.signature
        suspicious = torn or content.faulty or bool(file.content.objects - content.objects)
        if patient and suspicious and not content.unread and now < changed_at + SETTLE:
            file.settle_at = changed_at + SETTLE
            return
        file.settle_at = None
        if content is not file.content and (not content.unread or content != file.content):
            file.content = content
            file.version += 1

    def _vanished(self, path: str, layout: Layout, now: float, *, patient: bool) -> None:
        file = self._files[path]
        if any(above in layout.unreadable for above in with_parents(path)):
            file.signature = None
            return
        if file.signature is not None or file.settle_at is None or file.settle_at > now + SETTLE + REPLACED:
            # Just now; or the clock was set back since.
            file.signature = None
            file.settle_at = now + VANISH
        due = file.settle_at
        if self._replaced_at is not None and self._replaced_at <= now:
            due = max(due, self._replaced_at + REPLACED)
        file.settle_at = due
        if not patient or now >= due or not file.content.documents:
            del self._files[path]

    # -- the catalog

    def _catalog(self, layout: Layout, state: FolderState) -> Catalog:
        faults = self._faults(layout, state)
        held = {path for path, file in self._files.items() if file.held}
        settling = [file.settle_at for file in self._files.values() if file.settle_at is not None]
        view = FolderView(
            state=state,
            doubtful=frozenset(held | layout.unreadable.keys() | self._unread()),
            unsettled_until=min(settling, default=None) if state == "ok" else None,
            faults=faults,
        )
        key = (
            state,
            view.doubtful,
            view.unsettled_until,
            tuple(faults.items()),
            self._builtin,
            tuple((path, file.version, file.held) for path, file in self._files.items()),
        )
        if self._last is not None and self._last[0] == key:
            return self._last[1]
        catalog = self._resolver.resolve(self._views(), builtin=self._builtin, folder=view)
        self._last = key, catalog
        return catalog

    def _views(self) -> Iterator[FileView]:
        for path, file in sorted(self._files.items()):
            content = file.content
            yield FileView(path=path, documents=content.documents, faults=content.faults, held=file.held)

    def _unread(self) -> set[str]:
        return {path for path, file in self._files.items() if file.content.unread}

    def _faults(self, layout: Layout, state: FolderState) -> dict[str, tuple[Fault, ...]]:
        faults: dict[str, tuple[Fault, ...]] = {}
        faults |= {path: (_unreadable(path, reason),) for path, reason in layout.unreadable.items()}
        if state in {"missing", "unreadable"}:
            faults[str(self.root)] = (_unreadable(str(self.root), layout.reason),)
        return faults

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._watcher is not None:
            self._watcher.close()


def _check(documents: Sequence[Document], runtimes: Sequence[Document]) -> Sequence[Fault]:
    from reconciler.api import check  # noqa: PLC0415  (builds pydantic models)

    return check(documents, runtimes)


def _read(found: Found, known: _Content) -> tuple[_Content, Signature]:
    """What the file says, and its signature once it was read (another one: it changed meanwhile).

    Where it says the same as before, the same object: nothing is parsed.
    """
    from reconciler.api import load  # noqa: PLC0415  (builds pydantic models)

    try:
        # Not blocking: between the walk and now a FIFO may have taken the name.
        fd = os.open(found.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:  # noqa: PTH123  (a descriptor, not a path)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return _unread(found, "it is not a regular file"), found.signature
            data = file.read(READ_LIMIT)
            facts = os.fstat(fd)
    except OSError as error:
        return _unread(found, error.strerror or str(error)), found.signature
    signature = (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino, facts.st_dev)
    digest = hashlib.blake2b(data, digest_size=16).digest()
    if digest == known.digest:
        return known, signature
    loaded = load(data, found.path)
    return _Content(documents=loaded.documents, faults=loaded.faults, digest=digest), signature


def _unread(found: Found, reason: str) -> _Content:
    return _Content(faults=(_unreadable(found.path, reason),), unread=True)


def _unreadable(path: str, reason: str) -> Fault:
    remedy = ": give the daemon's user permission to read it" if reason == "Permission denied" else ""
    return Fault(file=path, line=0, path="", message=f"cannot be read: {reason}{remedy}", reason="Unreadable")
