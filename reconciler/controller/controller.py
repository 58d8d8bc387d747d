"""The workers: each takes a key from the work queue and makes a pass over that job; a failed pass is retried.

What goes wrong for one job is that job's trouble: its status says so, it is tried again with back-off, and no
other job waits for it.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from reconciler.api.faults import Fault
from reconciler.common.liveness import Liveness
from reconciler.common.os_errors import describe_fault
from reconciler.config.settings import Settings
from reconciler.controller import workers
from reconciler.controller.clock import Clock
from reconciler.controller.engine_session import EngineSession
from reconciler.controller.informer import Informer
from reconciler.controller.nodeservices.progress.progress_reports import ProgressReports
from reconciler.controller.nodeservices.progress.progress_service import ProgressService
from reconciler.controller.plan_cache import PlanCache
from reconciler.controller.reconciler import Reconciler
from reconciler.controller.scheduler.capacity import HostCapacity
from reconciler.controller.shutdown import stop_jobs
from reconciler.controller.statemachine.decide import DecisionOptions
from reconciler.controller.statemachine.desired_state import (
    Apply,
    Delete,
    JobFilter,
    Reject,
    managed_jobs,
    resolve_desired_state,
)
from reconciler.controller.status.engine_trouble import EngineTrouble
from reconciler.controller.status.manifest_status import (
    ManifestStatusWriter,
    log_phase_change,
    log_write_failure,
    manifest_faults,
)
from reconciler.controller.status.status_builder import StatusContext
from reconciler.controller.workers import Workers
from reconciler.controller.workqueue import WorkQueue
from reconciler.engines.protocol import Engine
from reconciler.errors import EngineError, EngineUnavailable, ReconcilerError, StateError
from reconciler.names import short_key
from reconciler.sources.folder.catalog import Catalog, describe_guard
from reconciler.sources.git.git_sync import SourceRevision
from reconciler.state.phases import ENDED_PHASES, SUSPENDED
from reconciler.state.state_store import StateStore

#: Seconds that passes under way may take when the controller is closed.
CLOSE_PATIENCE = 3.0
#: The same before jobs are stopped: what is being started now has to be known to be stopped.
STOP_JOBS_PATIENCE = 60.0

_log = structlog.get_logger(__name__)


class Controller:
    """The queue, its workers, and what they share; threads are the manager's.

    Args:
        settings: as chosen by the user.
        clock: the host's.
        on_phase: called with each change of a job's phase, in place of the log.
        only: whether a TrainJob is to be run here; None: all are.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        on_phase: Callable[[str, Mapping[str, Any]], None] | None,
        only: JobFilter | None = None,
    ) -> None:
        self.liveness = Liveness()
        self._settings = settings
        self._only = only or (lambda _job: True)
        self._clock = clock
        self._queue = WorkQueue(clock)
        self._plans = PlanCache()
        self._engine = EngineSession(
            settings,
            plans=self._plans,
            catalog=lambda: self.informer.catalog,
            clock=clock,
            wake=self._queue.add,
        )
        self.state = StateStore(
            settings,
            locate=self._locate,
            on_phase=on_phase or log_phase_change,
            on_write_failure=log_write_failure,
            clock=clock,
        )
        self._manifest_statuses = ManifestStatusWriter(self.state)
        self.engine_trouble = EngineTrouble(self.state, file_of=self._file_of, enqueue=self._queue.add)
        self._workers = Workers(self._queue, self._make_pass, self.liveness)
        self._capacity = HostCapacity(
            inventory=self._engine.devices,
            capacity=self._engine.host_resources,
            max_jobs=settings.max_jobs,
            preempt=settings.preempt,
            enqueue=self._queue.add,
        )
        self.progress_reports = ProgressReports(clock=clock, enqueue_at=self._queue.add_at)
        self._reconciler = Reconciler(
            engine=self._engine,
            state=self.state,
            plans=self._plans,
            capacity=self._capacity,
            progress_reports=self.progress_reports,
            options=DecisionOptions.from_settings(settings),
            clock=clock,
        )
        self.informer = Informer(
            settings,
            queue=self._queue,
            engine=self._engine,
            state=self.state,
            snapshots=self._reconciler.snapshots,
            clock=clock,
            on_relist=self.engine_trouble.report_listing,
        )
        self._source_revision: SourceRevision | None = None
        self._applied = self.informer.catalog
        #: Since when the folder is in the state in which the catalog has it, seconds since the epoch.
        self._folder_state_since = clock()
        self._records_counted = False

    # -- what changes from outside

    def connect(self, engine: Engine) -> None:
        """Work with this engine from now on.

        Raises:
            EngineUnavailable: it does not answer.
        """
        self._engine.connect(engine)
        self.informer.watch_events(engine)
        self.informer.enqueue_all()

    def set_engine_unavailable(self, error: EngineUnavailable) -> None:
        """No engine has answered so far: every job's status says so."""
        if str(error) != str(self._engine.unavailable):
            self._engine.unavailable = error
            self.informer.enqueue_all()

    def use_progress_service(self, progress: ProgressService) -> None:
        """Let trainings report to this service from now on."""
        self._engine.progress = progress

    def update_catalog(self, catalog: Catalog) -> None:
        """The folder has been read: queue the jobs that differ, write the statuses of other manifests.

        Raises:
            StateError: the records cannot be listed; what was not done is done by the next call.
        """
        if not self._records_counted:
            # What runs already has its place before anything new is given one.
            for record in self.state.records():
                self._capacity.sync(record)
            self._records_counted = True
        if catalog.state == "ok":
            with suppress(StateError):  # tried again after the next scan
                self.state.withdraw_void_removals(catalog.jobs)
        old = self._applied
        if catalog is old:
            return
        if catalog.state != old.state:
            self._folder_state_since = self._clock()
        self.informer.update_catalog(catalog, old)
        self._manifest_statuses.update(old, catalog)
        # Last: what was cut off by a fault is done again, all of it.
        self._applied = catalog

    def update_source_revision(self, revision: SourceRevision) -> None:
        """The manifests are those of this revision from now on; every job's status says so."""
        if revision != self._source_revision:
            self._source_revision = revision
            self._engine.revision = revision.revision
            self.informer.enqueue_all()

    def reconfigure(self, settings: Settings) -> None:
        """Use other settings from now on."""
        self._settings = settings
        self._engine.reconfigure(settings)
        self._capacity.reconfigure(max_jobs=settings.max_jobs, preempt=settings.preempt)
        self._reconciler.options = DecisionOptions.from_settings(settings)
        self.informer.reconfigure(settings)

    # -- passes

    def run_worker(self) -> None:
        """Make passes over keys until the queue is closed."""
        self._workers.run()

    def watch_passes(self) -> None:
        """Replace workers that wait, and tell the jobs what they wait for, until the queue is closed."""
        while not self._queue.closed:
            time.sleep(workers.INTERVAL)
            try:
                self._workers.keep_up()
                self.engine_trouble.report_slow_calls(self.liveness.slow())
            except Exception:  # noqa: BLE001  (the thread's boundary: it would be missing for ever)
                _log.exception("internal error", remedy="Please report it.")

    def _make_pass(self, key: str) -> None:
        """One pass; not even the report of its failure may end the thread."""
        try:
            self._process(key)
        except Exception:  # noqa: BLE001  (the thread's boundary)
            delay = self._queue.retry(key)
            _log.exception("internal error", remedy="Please report it.", retry_in=delay)

    def _process(self, key: str) -> None:
        """One pass, whose failure is retried."""
        namespace, _, name = key.partition("/")
        structlog.contextvars.bind_contextvars(
            job=name, namespace=namespace, reconcile_id=uuid.uuid4().hex[:8]
        )
        try:
            when = self._reconcile(key)
        except Exception as error:  # noqa: BLE001  (the boundary of one job: the others' passes go on)
            self._note_failure(key, error)
        else:
            self._queue.forget(key)
            if self.engine_trouble.was_slow(key):
                # What was said of it meanwhile may have come after this pass's own status.
                self._queue.add(key)
            if when is not None:
                self._queue.add_at(key, when)
        finally:
            structlog.contextvars.clear_contextvars()

    def _note_failure(self, key: str, error: Exception) -> None:
        """Report why a pass failed, in the log and in the job's status, and have it repeated."""
        if isinstance(error, EngineUnavailable):
            self._tell_of_engine(key, error)
            # Until the first answer there is no retry: every job is queued when an engine connects.
            if self._engine.connected is not None:
                delay = self._queue.retry(key)
                _log.warning("engine unavailable", reason=str(error), retry_in=delay)
        elif isinstance(error, EngineError):
            self._tell_of_engine(key, error)
            delay = self._queue.retry(key)
            _log.warning("reconcile failed", reason=str(error), retry_in=delay)
        elif isinstance(error, (ReconcilerError, OSError)):
            reason = describe_fault(error)
            self._set_message(key, reason)
            delay = self._queue.retry(key)
            _log.warning("reconcile failed", reason=reason, retry_in=delay)
        elif self._queue.closed:
            _log.debug("reconcile interrupted", exc_info=error)
        else:
            delay = self._queue.retry(key)
            _log.error("internal error", remedy="Please report it.", retry_in=delay, exc_info=error)
            self._set_message(key, f"An error of this program, please report it: {error!r}.")

    def _tell_of_engine(self, key: str, error: EngineError) -> None:
        """Have a job's status say what the engine does not do for it."""
        try:
            self.engine_trouble.report(key, error)
        except (ReconcilerError, OSError) as fault:
            _log.error("status write failed", reason=str(fault))

    def _set_message(self, key: str, message: str) -> None:
        """Have a job's status say why its pass failed; what keeps it from saying so is logged."""
        try:
            self.state.set_message(key, self._file_of(key), message)
        except (ReconcilerError, OSError) as error:
            _log.error("status write failed", reason=str(error))

    def _reconcile(self, key: str) -> float | None:
        """Bring a job to its desired state; returns when to make the next pass."""
        record, catalog = self.state.load(key), self.informer.catalog
        desired_state = resolve_desired_state(
            key,
            catalog,
            record,
            settings=self._settings,
            is_selected=self._only,
            policy_digest=self._engine.enforcer.policy_digest,
        )
        match desired_state:
            case Apply(desired=desired, faults=faults):
                context = self._status_context(desired.file, faults, key=key)
                return self._reconciler.apply(desired, replace(context, line_of=self._line_of(key)))
            case Reject(file=file, faults=faults):
                self.state.write_invalid_status("TrainJob", key, file, faults)
            case Delete():
                file = record.file if record is not None else ""
                if not self._reconciler.delete(key, self._status_context(file)):
                    # It is queued again when the logs are read.
                    return None
                self._engine.remove_secrets(key)
        return None

    def _status_context(self, file: str, faults: Sequence[Fault] = (), *, key: str = "") -> StatusContext:
        revision = self._source_revision
        return StatusContext(
            engine=lambda: (self._engine.info.name, self._engine.info.version),
            log_dir=str(self._settings.log_dir),
            faults=faults,
            source=revision.source(file) if revision is not None else {},
            conditions=(revision.condition,) if revision is not None else (),
            manifest_missing=self._describe_guard(key) if key else "",
            manifest_missing_since=self._folder_state_since,
        )

    def _describe_guard(self, key: str) -> str:
        """Why a job goes on without its manifest; "" where it does not."""
        settings, state = self._settings, self.informer.catalog.state
        if state == "ok" or (state == "empty" and settings.allow_empty):
            return ""
        return describe_guard(state, settings.specs, short_key(key))

    def _line_of(self, key: str) -> Callable[[str], int]:
        """A function that gives the line of a field in the manifest that defines a job now."""
        entry = self.informer.catalog.jobs.get(key)
        document = entry.document if entry is not None else None
        return document.line_of if document is not None else lambda _path: 0

    def _locate(self, key: str) -> str | None:
        """The manifest that defines a job now."""
        entry = self.informer.catalog.jobs.get(key)
        return entry.file if entry is not None else None

    def _file_of(self, key: str) -> str:
        if (file := self._locate(key)) is not None:
            return file
        record = self.state.load(key)
        return record.file if record is not None else ""

    # -- how it stands

    def uid_of(self, key: str) -> str | None:
        """The uid of a job; None where there is no such job."""
        record = self.state.load(key)
        return record.uid if record is not None else None

    def is_idle(self) -> bool:
        """Whether no pass is due or under way, no image is being pulled and no log read to its end."""
        return not self._engine.pulls_image() and not self._engine.reads_logs() and self._queue.idle()

    def all_ended(self) -> bool:
        """Whether every job of the folder has ended, the removal of its containers included.

        Suspended jobs count: only somebody who resumes them lets them go on. A preempted one is Queued.
        """
        return all(phase in ENDED_PHASES or phase == SUSPENDED for phase in self._managed_phases())

    def all_complete(self) -> bool:
        """Whether every job of the folder that is not suspended is Complete, and no file is broken.

        A folder whose manifests have all gone keeps its jobs, so they count by their records.
        """
        catalog = self.informer.catalog
        phases = self._managed_phases()
        if catalog.state != "ok":
            kept = set(self.state.keys()) - set(catalog.jobs)
            phases += [self.state.phase(key) for key in kept]
        good = all(phase in {"Complete", SUSPENDED} for phase in phases)
        return good and not any(manifest_faults(catalog))

    def suspended_jobs(self) -> list[str]:
        """Keys of the folder's suspended jobs."""
        return [key for key in managed_jobs(self.informer.catalog) if self.state.phase(key) == SUSPENDED]

    def phases(self) -> Counter[str]:
        """How many of the folder's jobs are in which phase."""
        return Counter(phase or "Pending" for phase in self._managed_phases())

    def _managed_phases(self) -> list[str]:
        return [self.state.phase(key) for key in managed_jobs(self.informer.catalog)]

    @property
    def engine_name(self) -> str:
        """``podman 4.3.1``; "" before an engine has answered."""
        return f"{self._engine.info.name} {self._engine.info.version}".strip()

    @property
    def engine_error(self) -> str:
        """Why the engine cannot be worked with now; "" when it can."""
        connected = self._engine.connected is not None
        return self.informer.relister.error if connected else str(self._engine.unavailable)

    @property
    def relist_failing_since(self) -> float | None:
        """Since when an engine that answers could not be listed, in monotonic seconds."""
        return self.informer.relister.failing_since

    # -- the end

    def stop_jobs(self) -> None:
        """Stop all containers within their grace periods; the next daemon goes on with the jobs."""
        self._queue.close(patience=STOP_JOBS_PATIENCE)
        if self._engine.connected is None:
            return
        selected = [record for record in self.state.records() if self._only(record.job)]
        stop_jobs(
            [(record, self._status_context(record.file)) for record in selected],
            engine=self._engine,
            state=self.state,
            plans=self._plans,
            clock=self._clock,
        )

    def close(self, *, patience: float = CLOSE_PATIENCE) -> None:
        """Stop working; write statuses; leave containers alone.

        Args:
            patience: seconds that passes under way may take: an embedding program may start the next
                controller at once. Where the process ends, they may as well be cut off.
        """
        self._queue.close(patience=patience)
        self.state.flush(everything=True)
        self.informer.close()
        self._engine.close()
