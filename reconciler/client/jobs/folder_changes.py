"""Waking up when a file below a folder changes, without polling where the kernel can tell.

What can go wrong: the folder is not there yet, or the kernel has no watches left. Then waiting falls back
to its time-out, and callers look once a second: late, never wrong.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent

#: Seconds after which callers look again though nothing was told.
LOOK_AGAIN: Final = 1.0
_CHANGES: Final = frozenset({"created", "modified", "moved", "deleted", "closed"})


class Changes:
    """A bell that rings when something below the folders changes; use it as a context manager.

    Args:
        folders: watched with all below them.
        matters: whether a path does; default: all do.
    """

    def __init__(self, folders: Iterable[Path], *, matters: Callable[[str], bool] = lambda _: True) -> None:
        self._folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._matters = matters
        self._bell = threading.Event()
        self._observer: Any = None

    def __enter__(self) -> Self:
        from watchdog.events import FileSystemEventHandler  # noqa: PLC0415  (not for --help)
        from watchdog.observers import Observer  # noqa: PLC0415

        # It complains of events that come while it is being stopped, which is at the end of every wait.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL)
        ring = self._ring

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                ring(event)

        observer = Observer()
        try:
            for folder in self._folders:
                observer.schedule(Handler(), str(folder), recursive=True)
            observer.start()
        except OSError:
            with contextlib.suppress(RuntimeError):
                observer.stop()
            return self
        self._observer = observer
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=2)

    def ring(self) -> None:
        """Wake whoever waits."""
        self._bell.set()

    def wait(self, timeout: float) -> bool:
        """Wait for a change, at most ``timeout`` seconds (and :data:`LOOK_AGAIN`); whether one was told."""
        rung = self._bell.wait(max(0.0, min(timeout, LOOK_AGAIN)))
        self._bell.clear()
        return rung

    def _ring(self, event: FileSystemEvent) -> None:
        if event.event_type not in _CHANGES:
            return  # opened, read: by us, too
        paths = (str(event.src_path), str(event.dest_path or ""))
        if any(path and self._matters(path) for path in paths):
            self._bell.set()
