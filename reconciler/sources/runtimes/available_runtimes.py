"""All runtimes from outside the folder: remote ones, then the built-in ones; kept up to date.

A daemon may not wait for a server at its start: it begins with the cached and the built-in ones, and a
thread fetches what the servers have. A source that fails is logged once, and tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from reconciler.sources.runtimes.builtin_runtimes import load_builtin_runtimes
from reconciler.sources.runtimes.remote_runtimes import LoadedRuntimes, RemoteSources

if TYPE_CHECKING:
    from reconciler.api import Document

#: Seconds between refreshes: URLs are asked whether they have changed, GitHub once in 24 hours.
REFRESH_INTERVAL: Final = 300.0

_log = structlog.get_logger(__name__)


def load_available_runtimes(
    sources: Sequence[str], *, clock: Callable[[], float], offline: bool = False
) -> LoadedRuntimes:
    """Load remote runtimes, then built-in ones, for a command that runs once.

    Args:
        sources: the values of ``--runtime-source``.
        clock: seconds since the epoch.
        offline: ask no server: for a command that only reads.
    """
    remote = LoadedRuntimes()
    if sources:
        remote = RemoteSources.from_environment(sources, clock=clock).load(offline=offline)
    return LoadedRuntimes(documents=(*remote.documents, *load_builtin_runtimes()), faults=remote.faults)


class RuntimeRefresher:
    """Keeps the runtimes of remote sources up to date, in a thread of its own.

    Args:
        sources: the remote sources.
        on_change: called from the thread with all runtimes, built-in ones last, when they have changed.
    """

    def __init__(self, sources: RemoteSources, *, on_change: Callable[[Sequence[Document]], None]) -> None:
        self._sources = sources
        self._on_change = on_change
        self._builtin = tuple(load_builtin_runtimes())
        self._remote = sources.load(offline=True).documents
        self._logged: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="runtime-sources", daemon=True)

    @property
    def documents(self) -> tuple[Document, ...]:
        """The runtimes now; before the first refresh, the cached and the built-in ones."""
        return (*self._remote, *self._builtin)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; a request under way ends by its own time limit."""
        self._stop.set()

    def refresh(self) -> None:
        """Load the sources now, and wait for it: for a run that does not go on."""
        loaded = self._sources.load()
        self._log_faults(loaded)
        if loaded.documents != self._remote and not self._stop.is_set():
            self._remote = loaded.documents
            self._on_change(self.documents)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.refresh()
            except Exception:  # noqa: BLE001  (the thread's boundary: no runtime would be seen any more)
                _log.exception("internal error", remedy="Please report it.", retry_in=REFRESH_INTERVAL)
            self._stop.wait(REFRESH_INTERVAL)

    def _log_faults(self, loaded: LoadedRuntimes) -> None:
        for fault in loaded.faults:
            if fault.message not in self._logged:
                log = _log.warning if fault.severity == "warning" else _log.error
                log("runtime source failed", source=fault.file, reason=fault.message)
        self._logged = frozenset(fault.message for fault in loaded.faults)
