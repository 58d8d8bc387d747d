"""Calls back soon after something in a folder has changed; a scan then finds out what.

Watches the folder and everything below, the folders that symlinks lead to and those that hold the links
(that is where a swap shows), and the folder above, so that a folder that is taken away and made again is
seen. Every scan renews the set (:meth:`FileWatcher.watch`).

Changes come in bursts (a checkout, an editor's save): the call is made after 25 ms without a change, and at
the latest 40 ms after the first change.

What can go wrong: inotify has limits per user, and network file systems do not report what others change:
in the first case the folder is walked every second instead (a warning says so), in the second the caller's
own periodic scan has to do. A file moved out of the folder may be reported half a second late (watchdog
waits for the other half of the move). This project's own files are never reported.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from watchdog import events
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from reconciler.common.host_looks import LOOKS, UnansweredError
from reconciler.common.os_errors import reason_of
from reconciler.sources.folder.manifest_files import (
    FolderListing,
    is_inside,
    is_manifest_name,
    list_manifest_files,
)

#: Seconds without a change after which a burst is over, and the most that a call waits for that.
QUIET_PERIOD: Final = 0.025
MAX_DELAY: Final = 0.040
#: Seconds between walks where the system gives no file watches.
POLL_INTERVAL: Final = 1.0

_EVENTS: Final[list[type[FileSystemEvent]]] = [
    events.DirCreatedEvent,
    events.DirDeletedEvent,
    events.DirMovedEvent,
    events.FileClosedEvent,
    events.FileCreatedEvent,
    events.FileDeletedEvent,
    events.FileModifiedEvent,
    events.FileMovedEvent,
]
_LIMITS: Final = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM})

_RAISE_LIMITS: Final = "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances with sysctl"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _WatchedFolder:
    """A folder to watch; with another identity it is another folder under the same name."""

    path: str
    recursive: bool
    identity: tuple[int, int]


class FileWatcher(FileSystemEventHandler):
    """Calls back when something under a folder has changed; one thread besides watchdog's.

    Args:
        root: the folder; need not exist.
        on_change: called from the watcher's thread, never twice at once; must not raise.
    """

    def __init__(self, root: str, on_change: Callable[[], None]) -> None:
        self._root = os.path.abspath(root)  # noqa: PTH100  (links are followed by their names)
        self._on_change = on_change
        self._lock = threading.Lock()
        self._watches: dict[_WatchedFolder, ObservedWatch] = {}
        self._removed: set[str] = set()
        #: Links and their targets; folders watched with all below; names of the folder itself.
        self._links: set[str] = set()
        self._tops: tuple[str, ...] = ()
        self._roots = {self._root}
        self._wake = threading.Condition()
        self._first_change: float | None = None
        self._last_change = 0.0
        self._call_at: float | None = None
        self._closed = False
        self._polling = self._unanswered = False
        self._observer: BaseObserver | None = self._start_observer()
        self._thread = threading.Thread(target=self._run, name="specs-watcher", daemon=True)
        self._thread.start()

    def watch(self, listing: FolderListing) -> None:
        """Watch what a walk has found; calls back where that is more than before."""
        with self._lock:
            if self._closed or self._observer is None:
                return
            if listing.unanswered:
                # watchdog follows every link when it watches a folder with all below, and would hang there.
                self._unanswered = True
                self._start_polling("a file system in the folder does not answer", remedy="until it does")
                return
            if self._unanswered:
                self._unanswered = self._polling = False
            self._links = {*listing.links, *(_real(link) for link in listing.links)}
            above, name = os.path.split(self._root)
            self._roots = {self._root, os.path.join(_real(above), name)}  # noqa: PTH118
            wanted = self._folders_to_watch(listing)
            self._tops = tuple(sorted((f.path for f in wanted if f.recursive), key=len, reverse=True))
            known_before = bool(self._watches)
            removed, self._removed = self._removed, set()
            for folder in list(self._watches):
                if folder not in wanted or folder.path in removed:
                    self._remove_watch(folder)
            added = [folder for folder in wanted if folder not in self._watches and self._add_watch(folder)]
        if added and known_before:
            # Something may have come between the walk and the watch.
            self.notify_change()

    def call_in(self, seconds: float) -> None:
        """Call back once after so many seconds, if not earlier; a later call replaces an earlier one."""
        with self._wake:
            self._call_at = time.monotonic() + seconds
            self._wake.notify()

    def notify_change(self) -> None:
        """Note a change; the call follows when the burst is over."""
        with self._wake:
            self._last_change = time.monotonic()
            if self._first_change is None:
                self._first_change = self._last_change
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
        if self._thread is not threading.current_thread():
            self._thread.join(5)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note an event of watchdog's that can change what the folder says."""
        source = os.fsdecode(event.src_path)
        if isinstance(event, events.DirDeletedEvent) and any(f.path == source for f in tuple(self._watches)):
            # Its watch went with it; another folder may come under its name.
            self._removed.add(source)
            self.notify_change()
            return
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if any(self._is_relevant(path, is_directory=event.is_directory) for path in paths):
            self.notify_change()

    def _is_relevant(self, path: str, *, is_directory: bool) -> bool:
        if path in self._links or any(is_inside(root, path) for root in self._roots):
            return True
        top = next((top for top in self._tops if is_inside(path, top)), None)
        if top is None:
            # Beside the folder, where it or a link is.
            return False
        if any(part.startswith(".") for part in path[len(top) :].split("/")):
            return False
        name = os.path.basename(path)  # noqa: PTH119
        return is_directory or is_manifest_name(name) or os.path.islink(path)  # noqa: PTH114

    # -- the calling thread

    def _run(self) -> None:
        before = self._snapshot() if self._polling else None
        while True:
            with self._wake:
                self._wake.wait(self._seconds_to_wait())
                if self._closed:
                    return
                due = self._take_due()
                polling = self._polling
            if polling and not due:
                snapshot = self._snapshot()
                due, before = before is not None and snapshot != before, snapshot
            if due:
                self._on_change()

    def _seconds_to_wait(self) -> float | None:
        """Seconds until there is something to do; None: until notified."""
        now = time.monotonic()
        times = [] if self._first_change is None else [self._burst_end(self._first_change)]
        if self._call_at is not None:
            times.append(self._call_at)
        if self._polling:
            times.append(now + POLL_INTERVAL)
        return max(0.0, min(times) - now) if times else None

    def _burst_end(self, first_change: float) -> float:
        return min(self._last_change + QUIET_PERIOD, first_change + MAX_DELAY)

    def _take_due(self) -> bool:
        """Whether a call is due; it is not due again afterwards."""
        now = time.monotonic()
        quiet = self._first_change is not None and now >= self._burst_end(self._first_change)
        called = self._call_at is not None and now >= self._call_at
        if quiet:
            self._first_change = None
        if called:
            self._call_at = None
        return quiet or called

    def _snapshot(self) -> object:
        listing = list_manifest_files(self._root)
        files = tuple((path, found.signature) for path, found in listing.files.items())
        return listing.state, listing.identity, files, tuple(listing.unreadable)

    # -- watches

    def _start_observer(self) -> BaseObserver | None:
        try:
            observer = Observer()
            observer.start()
        except OSError as error:
            self._start_polling(reason_of(error))
            return None
        return observer

    def _add_watch(self, folder: _WatchedFolder) -> bool:
        observer = self._observer
        if observer is None:
            return False
        try:
            self._watches[folder] = LOOKS.run(
                folder.path,
                lambda _: observer.schedule(
                    self, folder.path, recursive=folder.recursive, event_filter=_EVENTS
                ),
            )
        except UnansweredError as error:
            # The thread in the middle of it may keep the observer from all else.
            self._observer = None
            self._start_polling(str(error.strerror), remedy="restart the daemon when it answers again")
            return False
        except OSError as error:
            if error.errno in _LIMITS:
                self._start_polling(reason_of(error))
            else:
                # Gone, or not permitted any more since the walk: the next scan sees it.
                _log.debug("folder watch failed", path=folder.path, reason=str(error))
            return False
        return True

    def _remove_watch(self, folder: _WatchedFolder) -> None:
        watch = self._watches.pop(folder)
        if self._observer is not None and watch not in self._watches.values():
            try:
                self._observer.unschedule(watch)
            except (KeyError, OSError) as error:
                _log.debug("folder watch already removed", path=folder.path, reason=repr(error))

    def _start_polling(self, reason: str, *, remedy: str = _RAISE_LIMITS) -> None:
        """Walk the folder from time to time from now on."""
        with self._wake:
            started, self._polling = not self._polling, True
            self._wake.notify()
        if started:
            _log.warning("folder polled instead of watched", reason=reason, remedy=remedy)

    def _folders_to_watch(self, listing: FolderListing) -> set[_WatchedFolder]:
        """The folders to watch, none of them twice."""
        real_root = _real(self._root)
        recursive = [real_root] if listing.state == "ok" else []
        for folder in sorted(listing.real_folders):
            if not any(is_inside(folder, top) for top in recursive):
                recursive.append(folder)
        single = set(listing.link_folders)
        single.update(_folder_of(_real(link)) for link in listing.links)
        single.add(_nearest_folder(os.path.dirname(self._root)))  # noqa: PTH120
        single = set(map(_real, single))
        single = {path for path in single if not any(is_inside(path, top) for top in recursive)}
        folders = {_identified(path, recursive=True) for path in recursive}
        folders |= {_identified(path, recursive=False) for path in single}
        return {folder for folder in folders if folder is not None}


def _real(path: str) -> str:
    return LOOKS.resolve([path])[0].real


def _identified(path: str, *, recursive: bool) -> _WatchedFolder | None:
    facts = LOOKS.resolve([path])[0].facts
    return _WatchedFolder(path, recursive, (facts.st_dev, facts.st_ino)) if facts is not None else None


def _is_folder(path: str) -> bool:
    facts = LOOKS.resolve([path])[0].facts
    return facts is not None and stat.S_ISDIR(facts.st_mode)


def _folder_of(path: str) -> str:
    return path if _is_folder(path) else _nearest_folder(os.path.dirname(path))  # noqa: PTH120


def _nearest_folder(path: str) -> str:
    """The folder, or the nearest one above that is there."""
    while not _is_folder(path) and path != os.path.dirname(path):  # noqa: PTH120
        path = os.path.dirname(path)  # noqa: PTH120
    return path
