"""Waits for files to change without polling each: one inotify instance for the whole process.

A hundred followed logs that are each polled four times a second cost a tenth of a core. The kernel notifies
instead, and a poll now and then is only the safety net. What can go wrong: no inotify (not Linux), its limits
are used up, a file system that does not notify; then :attr:`FileWatch.is_notified` is False, or no
notification comes, and the caller has to poll.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_MODIFY: Final = 0x2
_ATTRIB: Final = 0x4
_CLOSE_WRITE: Final = 0x8
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
#: _CREATE and _MOVED_TO come for a folder only.
_CHANGES: Final = _MODIFY | _ATTRIB | _CLOSE_WRITE | _DELETE_SELF | _MOVE_SELF | _CREATE | _MOVED_TO
_EVENT: Final = struct.Struct("iIII")
#: Seconds between rounds of notifications: a file that is written to all the time wakes no reader more often.
_PAUSE: Final = 0.02


class _Signal(threading.Event):
    """An event that also calls back when it is set."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        super().__init__()
        self._on_change = on_change

    def set(self) -> None:
        super().set()
        self._on_change()


class FileWatch:
    """Watches one file for changes (or one folder for new names), for one waiting thread.

    Args:
        path: of the file or folder.
        on_change: called at each change and each :meth:`wake`, in any thread, and must not wait; for a
            thread that waits for many files at once.

    Attributes:
        is_notified: the kernel notifies of changes; where it does not, wait a little and poll.
    """

    def __init__(self, path: Path, on_change: Callable[[], None] | None = None) -> None:
        self._changed = _Signal(on_change) if on_change is not None else threading.Event()
        self._watch = _shared().add(path, self._changed)
        self.is_notified = self._watch is not None

    def clear(self) -> None:
        """Forgets earlier changes; called before reading the file, so that no later change is missed."""
        self._changed.clear()

    def wait(self, timeout: float) -> bool:
        """Waits for a change or :meth:`wake`; returns whether one came within ``timeout`` seconds."""
        return self._changed.wait(timeout)

    def wake(self) -> None:
        """Ends a wait, from any thread."""
        self._changed.set()

    def close(self) -> None:
        """Stops watching."""
        if self._watch is not None:
            _shared().remove(self._watch, self._changed)
            self._watch = None


class _Inotify:
    """The process's one inotify instance, and the thread that reads it; both live as long as the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[int, set[threading.Event]] = {}
        self._libc: ctypes.CDLL | None = None
        self._fd = -1
        if sys.platform.startswith("linux"):
            with contextlib.suppress(OSError, AttributeError):
                self._libc = ctypes.CDLL(None, use_errno=True)
                self._fd = self._libc.inotify_init1(os.O_CLOEXEC)
        if self._fd >= 0:
            threading.Thread(target=self._read, name="file-watch", daemon=True).start()

    def add(self, path: Path, changed: threading.Event) -> int | None:
        """Sets ``changed`` at each change of this file from now on; None where the kernel does not notify."""
        if self._fd < 0 or self._libc is None:
            return None
        with self._lock:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(path), _CHANGES)
            if watch < 0:
                return None
            self._listeners.setdefault(watch, set()).add(changed)
            return int(watch)

    def remove(self, watch: int, changed: threading.Event) -> None:
        """Removes a listener. A watch belongs to the file, not to the listener: the last one ends it."""
        with self._lock:
            listeners = self._listeners.get(watch, set())
            listeners.discard(changed)
            if not listeners and self._listeners.pop(watch, None) is not None and self._libc is not None:
                self._libc.inotify_rm_watch(self._fd, watch)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except OSError:
                return
            position = 0
            while position < len(data):
                watch, _, _, length = _EVENT.unpack_from(data, position)
                position += _EVENT.size + length
                self._notify(watch)
            time.sleep(_PAUSE)

    def _notify(self, watch: int) -> None:
        with self._lock:
            # -1: the kernel's queue was full; anybody's change may be missing.
            notified = self._listeners.values() if watch < 0 else [self._listeners.get(watch, set())]
            for listeners in notified:
                for changed in listeners:
                    changed.set()


_lock = threading.Lock()
_instance: list[_Inotify] = []


def _shared() -> _Inotify:
    with _lock:
        if not _instance:
            _instance.append(_Inotify())
        return _instance[0]
