"""Wakes a waiting thread when a file below a folder changes, without polling where the kernel can tell.

What can go wrong: the folder is not there yet, or the kernel has no watches left. Then a wait ends by its
time-out, and callers read once a second: late, never wrong.
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

#: The longest wait in seconds: callers read again then, notified or not.
POLL_INTERVAL: Final = 1.0
#: Not opened and read: this process does that itself.
_EVENT_TYPES: Final = frozenset({"created", "modified", "moved", "deleted", "closed"})


class FolderWatcher:
    """Waits for changes below folders; use it as a context manager.

    Args:
        folders: watched with everything below them.
        is_relevant: whether a change of this path ends the wait; default: every path.
    """

    def __init__(
        self, folders: Iterable[Path], *, is_relevant: Callable[[str], bool] = lambda _: True
    ) -> None:
        self._folders = [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
        self._is_relevant = is_relevant
        self._changed = threading.Event()
        self._observer: Any = None

    def __enter__(self) -> Self:
        from watchdog.events import FileSystemEventHandler  # noqa: PLC0415  (not for --help)
        from watchdog.observers import Observer  # noqa: PLC0415

        # It complains of events that come while it is being stopped, which is at the end of every wait.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL)
        handler = FileSystemEventHandler()
        handler.on_any_event = self._handle  # type: ignore[method-assign]
        observer = Observer()
        try:
            for folder in self._folders:
                observer.schedule(handler, str(folder), recursive=True)
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

    def wake(self) -> None:
        """Ends the current or next wait."""
        self._changed.set()

    def wait(self, timeout: float) -> None:
        """Waits for a change, at most ``timeout`` seconds and :data:`POLL_INTERVAL`."""
        self._changed.wait(max(0.0, min(timeout, POLL_INTERVAL)))
        self._changed.clear()

    def _handle(self, event: FileSystemEvent) -> None:
        paths = (str(event.src_path), str(event.dest_path or ""))
        if event.event_type in _EVENT_TYPES and any(path and self._is_relevant(path) for path in paths):
            self._changed.set()
