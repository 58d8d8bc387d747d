"""All runtimes there are besides the folder's own: remote sources, then what is built in; kept up to date.

A daemon may not wait for a server at its start: it begins with what is in the cache and built in, and a
thread brings in what the servers have. A source that fails is said once, and tried again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from reconciler.sources.runtimes.builtin_runtimes import builtin_runtimes
from reconciler.sources.runtimes.remote_runtimes import RemoteRuntimes, RemoteSources, remote_sources

if TYPE_CHECKING:
    from reconciler.api import Document

#: Seconds between looks at the sources; servers are asked once in 24 hours, files on disk each time.
REFRESH_EVERY: Final = 300.0

_log = structlog.get_logger(__name__)


def available_runtimes(
    sources: Sequence[str], *, clock: Callable[[], float], offline: bool = False
) -> RemoteRuntimes:
    """Remote runtimes before built-in ones, for a command that runs once.

    Args:
        sources: as ``--runtime-source`` has them.
        clock: seconds since the epoch.
        offline: ask no server: for a command that only looks.
    """
    found = remote_sources(sources, clock=clock).load(offline=offline) if sources else RemoteRuntimes()
    return RemoteRuntimes(documents=(*found.documents, *builtin_runtimes()), faults=found.faults)


class RuntimeRefresher:
    """Keeps the runtimes of further sources up to date, in a thread of its own.

    Args:
        sources: where from.
        on_change: called from the thread with all runtimes, built-in ones last, when there are other ones.
        every: seconds between looks.
    """

    def __init__(
        self,
        sources: RemoteSources,
        *,
        on_change: Callable[[Sequence[Document]], None],
        every: float = REFRESH_EVERY,
    ) -> None:
        self._sources = sources
        self._on_change = on_change
        self._every = every
        self._builtin = tuple(builtin_runtimes())
        self._remote = sources.load(offline=True).documents
        self._told: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="runtime-sources", daemon=True)

    @property
    def documents(self) -> tuple[Document, ...]:
        """The runtimes now; before the first look, those of the cache and the built-in ones."""
        return (*self._remote, *self._builtin)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End; a request under way ends by its own time limit."""
        self._stop.set()

    def look(self) -> None:
        """Look once, now, and wait for it: for a run that does not go on."""
        found = self._sources.load()
        self._tell(found)
        if found.documents != self._remote and not self._stop.is_set():
            self._remote = found.documents
            self._on_change(self.documents)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.look()
            self._stop.wait(self._every)

    def _tell(self, found: RemoteRuntimes) -> None:
        messages = frozenset(fault.message for fault in found.faults)
        for fault in found.faults:
            if fault.message not in self._told:
                tell = _log.warning if fault.severity == "warning" else _log.error
                tell("runtime source", source=fault.file, reason=fault.message)
        self._told = messages
