"""Turns changes of the folder, engine events, relists and a clock that was set into keys of the work queue.

Level-triggered: a key says that something about a job may have changed, never what; the pass over it reads
everything again. So an event may be lost, repeated or late, and a relist makes up for it.

What can go wrong: the engine's event stream breaks. It is opened again, and a relist follows.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import structlog

from reconciler.common.os_errors import describe_fault
from reconciler.config.settings import Settings
from reconciler.controller.clock import Clock, clock_change
from reconciler.controller.engine_session import EngineSession
from reconciler.controller.relist import Relister, Snapshot
from reconciler.controller.statemachine.desired_state import may_delete, referenced_objects_changed
from reconciler.controller.workqueue import WorkQueue
from reconciler.engines.protocol import Engine, EventStream
from reconciler.errors import ReconcilerError, StateError
from reconciler.names import LABEL_INSTANCE, LABEL_JOB, job_key_of
from reconciler.sources.folder.catalog import Catalog
from reconciler.state.state_store import StateStore

#: Seconds before the event stream is opened again: doubled up to the last.
FIRST_RETRY = 0.2
LAST_RETRY = 10.0

_log = structlog.get_logger(__name__)


class Informer:
    """See the module; ``snapshots`` are of each job's last pass, to compare a relist with.

    ``on_relist`` is called after each relist, with why it failed or "".
    """

    def __init__(
        self,
        settings: Settings,
        *,
        queue: WorkQueue,
        engine: EngineSession,
        state: StateStore,
        snapshots: Mapping[str, Snapshot],
        clock: Clock,
        on_relist: Callable[[str], None] = lambda _error: None,
    ) -> None:
        #: The folder as it was read last; until it has been read, no job counts as removed.
        self.catalog = Catalog(state="missing")
        self.relister = Relister()
        self._settings = settings
        self._queue = queue
        self._engine = engine
        self._state = state
        self._snapshots = snapshots
        self._clock = clock
        self._on_relist = on_relist
        self._timeline = clock.timeline()
        self._closed = threading.Event()
        self._stream: EventStream | None = None
        self._lock = threading.Lock()

    def enqueue_all(self) -> None:
        """Queue every job of the folder and every job with a record."""
        keys = set(self.catalog.jobs)
        # Records that cannot be listed are reported where the folder is read, again and again.
        with suppress(StateError):
            keys |= set(self._state.keys())
        self._enqueue(sorted(keys))

    def reconfigure(self, settings: Settings) -> None:
        """Use other settings from now on; every job is queued, as they may change something for it."""
        self._settings = settings
        self.enqueue_all()

    # -- the folder

    def update_catalog(self, catalog: Catalog, old: Catalog) -> None:
        """The folder has been read: queue the jobs that differ, and those whose manifest was removed.

        Args:
            catalog: the folder as it is.
            old: as it was when it was read last, and all was done about it.
        """
        self.catalog = catalog
        everything = referenced_objects_changed(old, catalog)
        if catalog.state != old.state:
            # What goes on without its manifest says so in its status.
            self._enqueue(self._state.keys())
        self._enqueue(key for key, entry in catalog.jobs.items() if everything or old.jobs.get(key) != entry)
        self._enqueue(self._removed_jobs())

    def _removed_jobs(self) -> list[str]:
        """Jobs with a record whose manifest was removed for good, or whose record cannot be read."""
        removed = []
        for key in sorted(set(self._state.keys()) - self.catalog.jobs.keys()):
            try:
                record = self._state.load(key)
            except StateError:
                # Its pass reports it, and is repeated.
                removed.append(key)
                continue
            if record is not None and may_delete(self.catalog, key, record.file, self._settings):
                removed.append(key)
        return removed

    # -- the engine

    def relist(self) -> None:
        """List everything that is this instance's; queue the jobs that differ from what their pass saw."""
        connected = self._engine.connected
        if connected is None:
            return
        changed = self.relister.changed_jobs(connected.engine, self._settings.instance, self._snapshots)
        self._on_relist(self.relister.error)
        if changed is None:
            return
        self._enqueue(changed + self._removed_jobs())
        self._state.rewrite_missing_sidecars()

    def watch_events(self, engine: Engine) -> None:
        """Queue the jobs that the engine's events are about, from now on."""
        thread = threading.Thread(target=self._watch, args=(engine,), name="engine-events", daemon=True)
        thread.start()

    def close(self) -> None:
        """End the watch on the engine's events."""
        self._closed.set()
        with self._lock:
            if self._stream is not None:
                self._stream.close()

    def handle_event(self, labels: Mapping[str, str]) -> None:
        """Queue the job of an event, by the labels of what the event is about."""
        if labels.get(LABEL_INSTANCE) == self._settings.instance and LABEL_JOB in labels:
            self._queue.add(job_key_of(labels))

    def _watch(self, engine: Engine) -> None:
        """Follow events; a broken stream, whatever broke it, is followed by a relist."""
        delay = FIRST_RETRY
        while not self._closed.is_set():
            try:
                stream = engine.events()
                with self._lock:
                    self._stream = stream
                if self._closed.is_set():
                    stream.close()
                    return
                self.relist()
                for event in stream:
                    delay = FIRST_RETRY
                    self.handle_event(event.labels)
            except Exception as error:  # noqa: BLE001  (the thread's boundary: no event would be seen any more)
                if not self._closed.is_set():
                    self._log_fault(error, delay)
            if self._closed.wait(delay):
                return
            delay = min(delay * 2, LAST_RETRY)

    def _log_fault(self, error: Exception, delay: float) -> None:
        if isinstance(error, (ReconcilerError, OSError)):
            _log.warning("engine events interrupted", reason=describe_fault(error), retry_in=delay)
        else:
            _log.error("internal error", remedy="Please report it.", retry_in=delay, exc_info=error)

    # -- the clock

    def check_clock(self) -> None:
        """Queue every job where the clock was set: the times that were waited for have changed."""
        timeline = self._clock.timeline()
        if by := clock_change(self._timeline, timeline):
            self._timeline = timeline
            _log.warning("clock changed", by=round(by, 1))
            self.enqueue_all()

    def _enqueue(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._queue.add(key)
