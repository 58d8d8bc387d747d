"""Waits for files to grow without looking at each again and again: one inotify for the whole process.

A hundred followed logs that are each looked at four times a second cost a tenth of a core. The kernel tells
instead, and a look now and then is only the safety net. What can go wrong: no inotify (not Linux), its limits
are used up, a file system that does not tell; then :attr:`Growth.told` is False, or nothing is heard, and the
caller looks by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Final

_MODIFY: Final = 0x2
_ATTRIB: Final = 0x4
_CLOSE_WRITE: Final = 0x8
_MOVED_TO: Final = 0x80
_CREATE: Final = 0x100
_DELETE_SELF: Final = 0x400
_MOVE_SELF: Final = 0x800
#: Those of names are told of a folder only.
_CHANGES: Final = _MODIFY | _ATTRIB | _CLOSE_WRITE | _DELETE_SELF | _MOVE_SELF | _CREATE | _MOVED_TO
_EVENT: Final = struct.Struct("iIII")
#: Seconds between two rounds of telling: a file that is written to all the time wakes no reader more often.
_PAUSE: Final = 0.02


class Growth:
    """One file's changes (or new names in one folder), for one follower.

    Attributes:
        told: whether the kernel tells of changes; where not, wait a little and look.
    """

    def __init__(self, path: Path) -> None:
        self._changed = threading.Event()
        self._watch = _shared().add(path, self._changed)
        self.told = self._watch is not None

    def expect(self) -> None:
        """Forget what was told so far; call it before looking, so that nothing between is missed."""
        self._changed.clear()

    def wait(self, timeout: float) -> bool:
        """Wait for a change or :meth:`wake`; whether there was one within ``timeout`` seconds."""
        return self._changed.wait(timeout)

    def wake(self) -> None:
        """End a wait, from any thread."""
        self._changed.set()

    def close(self) -> None:
        """Hear no more."""
        if self._watch is not None:
            _shared().remove(self._watch, self._changed)
            self._watch = None


class _Inotify:
    """The process's one inotify instance, and the thread that reads it; both live as long as the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listening: dict[int, set[threading.Event]] = {}
        self._libc: ctypes.CDLL | None = None
        self._fd = -1
        if sys.platform.startswith("linux"):
            with contextlib.suppress(OSError, AttributeError):
                self._libc = ctypes.CDLL(None, use_errno=True)
                self._fd = self._libc.inotify_init1(os.O_CLOEXEC)
        if self._fd >= 0:
            threading.Thread(target=self._read, name="file-growth", daemon=True).start()

    def add(self, path: Path, changed: threading.Event) -> int | None:
        """Tell ``changed`` of this file from now on; None where the kernel does not."""
        if self._fd < 0 or self._libc is None:
            return None
        with self._lock:
            watch = self._libc.inotify_add_watch(self._fd, os.fsencode(path), _CHANGES)
            if watch < 0:
                return None
            self._listening.setdefault(watch, set()).add(changed)
            return int(watch)

    def remove(self, watch: int, changed: threading.Event) -> None:
        """Tell it no more. A watch is the file's, not the listener's: the last one ends it."""
        with self._lock:
            listeners = self._listening.get(watch, set())
            listeners.discard(changed)
            if not listeners and self._listening.pop(watch, None) is not None and self._libc is not None:
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
                self._tell(watch)
            time.sleep(_PAUSE)

    def _tell(self, watch: int) -> None:
        with self._lock:
            # -1: the kernel's queue was full; anybody's change may be missing.
            found = self._listening.values() if watch < 0 else [self._listening.get(watch, set())]
            for listeners in found:
                for changed in listeners:
                    changed.set()


_lock = threading.Lock()
_instance: list[_Inotify] = []


def _shared() -> _Inotify:
    with _lock:
        if not _instance:
            _instance.append(_Inotify())
        return _instance[0]
