"""Tells soon after something in a folder has changed; a scan then finds out what.

Watches the folder and everything below, the folders that symlinks lead to and those in which the links
themselves lie (that is where a swap shows), and the folder above, so that a folder that is taken away and
made anew is seen. The set is renewed at every scan (:meth:`Watcher.follow`).

Changes come in bursts (a checkout, an editor's dance around a save): the call is made when 25 ms have passed
quietly, and at the latest 40 ms after the first change.

What can go wrong: inotify has limits per user, and network file systems tell nothing of what others change:
in the first case the folder is walked every second instead (a warning says so), in the second the caller's
own periodic scan has to do. A file moved out of the folder may be told half a second late (watchdog
waits for the other half of the move). This project's own files are never told.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from reconciler.sources.folder.manifest_files import Layout, is_inside, is_manifest_name, walk

QUIET: Final = 0.025
LATEST: Final = 0.040
POLL_EVERY: Final = 1.0

_EVENTS: Final[list[type[FileSystemEvent]]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]
_LIMITS: Final = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Place:
    """A folder to watch; with another identity it is another folder under the same name."""

    path: str
    recursive: bool
    identity: tuple[int, int]


class Watcher:
    """Calls back when something under a folder has changed; one thread besides watchdog's.

    Args:
        root: the folder; need not exist.
        on_change: called from the watcher's thread, never twice at once; must not raise.
    """

    def __init__(self, root: str, on_change: Callable[[], None]) -> None:
        self._root = os.path.abspath(root)  # noqa: PTH100  (links are followed by their names)
        self._on_change = on_change
        self._lock = threading.Lock()
        self._watches: dict[_Place, ObservedWatch] = {}
        self._dead: set[str] = set()
        #: Links and what they lead to; folders watched with all below; names of the folder itself.
        self._links: set[str] = set()
        self._tops: tuple[str, ...] = ()
        self._roots = {self._root}
        self._handler = _Handler(self)
        self._wake = threading.Condition()
        self._first: float | None = None
        self._latest = 0.0
        self._due: float | None = None
        self._closed = False
        self._polling = False
        self._observer: BaseObserver | None = self._start_observer()
        self._caller = threading.Thread(target=self._run, name="specs-watcher", daemon=True)
        self._caller.start()

    def follow(self, layout: Layout) -> None:
        """Watch what this walk has found; calls back where that is more than before."""
        with self._lock:
            if self._closed or self._observer is None:
                return
            self._links = {*layout.links, *(os.path.realpath(link) for link in layout.links)}
            above, name = os.path.split(self._root)
            self._roots = {self._root, os.path.join(os.path.realpath(above), name)}  # noqa: PTH118
            wanted = self._wanted(layout)
            self._tops = tuple(sorted((p.path for p in wanted if p.recursive), key=len, reverse=True))
            known_before = bool(self._watches)
            dead, self._dead = self._dead, set()
            for place in list(self._watches):
                if place not in wanted or place.path in dead:
                    self._unwatch(place)
            added = [place for place in wanted if place not in self._watches and self._watch(place)]
        if added and known_before:
            # Something may have come between the walk and the watch.
            self.poke()

    def call_in(self, seconds: float) -> None:
        """Call back once after so many seconds, if not earlier; a later call replaces an earlier one."""
        with self._wake:
            self._due = time.monotonic() + seconds
            self._wake.notify()

    def poke(self) -> None:
        """Something has changed."""
        with self._wake:
            self._latest = time.monotonic()
            if self._first is None:
                self._first = self._latest
            self._wake.notify()

    def close(self) -> None:
        """Stop; no call is made after this returns (unless it is called from within one)."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        with self._lock:
            observer, self._observer = self._observer, None
            self._watches.clear()
        if observer is not None:
            observer.stop()
            observer.join(5)
        if self._caller is not threading.current_thread():
            self._caller.join(5)

    def watches(self, path: str) -> bool:
        """Whether that folder has a watch of its own."""
        return any(place.path == path for place in tuple(self._watches))

    def ended(self, path: str) -> None:
        """A watched folder was removed, and its watch with it; another may come under its name."""
        self._dead.add(path)
        self.poke()

    def relevant(self, event: FileSystemEvent) -> bool:
        """Whether an event can change what the folder says (and is no work of our own)."""
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        return any(self._matters(path, is_directory=event.is_directory) for path in paths)

    def _matters(self, path: str, *, is_directory: bool) -> bool:
        if path in self._links or any(is_inside(root, path) for root in self._roots):
            return True
        top = next((top for top in self._tops if is_inside(path, top)), None)
        if top is None:
            # Beside the folder, where it or a link lies.
            return False
        if any(part.startswith(".") for part in path[len(top) :].split("/")):
            return False
        name = os.path.basename(path)  # noqa: PTH119
        return is_directory or is_manifest_name(name) or os.path.islink(path)  # noqa: PTH114

    # -- the calling thread

    def _run(self) -> None:
        before = self._seen() if self._polling else None
        while True:
            with self._wake:
                self._wake.wait(self._wait())
                if self._closed:
                    return
                called = self._take()
                polling = self._polling
            if polling and not called:
                seen = self._seen()
                called, before = before is not None and seen != before, seen
            if called:
                self._on_change()

    def _wait(self) -> float | None:
        """Seconds until there is something to do; None: until told."""
        now = time.monotonic()
        times = [] if self._first is None else [min(self._latest + QUIET, self._first + LATEST)]
        if self._due is not None:
            times.append(self._due)
        if self._polling:
            times.append(now + POLL_EVERY)
        return max(0.0, min(times) - now) if times else None

    def _take(self) -> bool:
        now = time.monotonic()
        quiet = self._first is not None and now >= min(self._latest + QUIET, self._first + LATEST)
        due = self._due is not None and now >= self._due
        if quiet:
            self._first = None
        if due:
            self._due = None
        return quiet or due

    def _seen(self) -> object:
        layout = walk(self._root)
        files = tuple((path, found.signature) for path, found in layout.files.items())
        return layout.state, layout.identity, files, tuple(layout.unreadable)

    # -- watches

    def _start_observer(self) -> BaseObserver | None:
        try:
            observer = Observer()
            observer.start()
        except OSError as error:
            self._poll(error)
            return None
        return observer

    def _watch(self, place: _Place) -> bool:
        observer = self._observer
        if observer is None:
            return False
        try:
            self._watches[place] = observer.schedule(
                self._handler, place.path, recursive=place.recursive, event_filter=_EVENTS
            )
        except OSError as error:
            if error.errno in _LIMITS:
                self._poll(error)
            else:
                # Gone or closed to us since the walk: the next scan sees it.
                _log.debug("folder cannot be watched", path=place.path, reason=str(error))
            return False
        return True

    def _unwatch(self, place: _Place) -> None:
        watch = self._watches.pop(place)
        if self._observer is not None and watch not in self._watches.values():
            try:
                self._observer.unschedule(watch)
            except (KeyError, OSError) as error:
                _log.debug("watch was gone already", path=place.path, reason=repr(error))

    def _poll(self, error: OSError) -> None:
        """Walk the folder from time to time from now on."""
        _log.warning(
            "changes in the folder are looked for every second: the system gives no more file watches",
            reason=error.strerror or str(error),
            remedy="raise fs.inotify.max_user_watches and fs.inotify.max_user_instances with sysctl",
        )
        with self._wake:
            self._polling = True
            self._wake.notify()

    def _wanted(self, layout: Layout) -> set[_Place]:
        """The folders to watch, none of them twice."""
        real_root = os.path.realpath(self._root)
        recursive = [real_root] if layout.state == "ok" else []
        for folder in sorted(layout.real_folders):
            if not any(is_inside(folder, top) for top in recursive):
                recursive.append(folder)
        single = set(layout.link_folders)
        single.update(_folder_of(os.path.realpath(link)) for link in layout.links)
        single.add(_nearest(os.path.dirname(self._root)))  # noqa: PTH120
        single = {os.path.realpath(path) for path in single}
        single = {path for path in single if not any(is_inside(path, top) for top in recursive)}
        places = {_place(path, recursive=True) for path in recursive}
        places |= {_place(path, recursive=False) for path in single}
        return {place for place in places if place is not None}


class _Handler(FileSystemEventHandler):
    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, DirDeletedEvent) and self._watcher.watches(os.fsdecode(event.src_path)):
            self._watcher.ended(os.fsdecode(event.src_path))
        elif self._watcher.relevant(event):
            self._watcher.poke()


def _place(path: str, *, recursive: bool) -> _Place | None:
    try:
        facts = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return _Place(path, recursive, (facts.st_dev, facts.st_ino))


def _folder_of(path: str) -> str:
    return path if os.path.isdir(path) else _nearest(os.path.dirname(path))  # noqa: PTH112, PTH120


def _nearest(path: str) -> str:
    """The folder, or the nearest one above that is there."""
    while not os.path.isdir(path) and path != os.path.dirname(path):  # noqa: PTH112, PTH120
        path = os.path.dirname(path)  # noqa: PTH120
    return path
