"""The daemon's work: which jobs there are, the queue of their keys, and the passes over them."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from reconciler.api.faults import Fault
from reconciler.common.liveness import Liveness
from reconciler.config.settings import Settings
from reconciler.controller.clock import Clock, watch
from reconciler.controller.engine_session import Attachment
from reconciler.controller.job_context import Provisions
from reconciler.controller.nodeservices.progress.progress_reports import Inbox
from reconciler.controller.nodeservices.progress.progress_service import ProgressService
from reconciler.controller.plan_cache import Planner
from reconciler.controller.reconciler import Reconciler, Request
from reconciler.controller.relist import Relisting
from reconciler.controller.scheduler.capacity import Ledger
from reconciler.controller.shutdown import stand_down
from reconciler.controller.statemachine.acceptance import Wanted
from reconciler.controller.statemachine.decide import Policy
from reconciler.controller.statemachine.desired_state import (
    Go,
    Gone,
    Refused,
    from_record,
    managed,
    may_delete,
    resources_changed,
    verdict,
)
from reconciler.controller.status.manifest_status import Telling, log_phase, log_unwritten, other_faults
from reconciler.controller.status.state_store import FolderOutlet
from reconciler.controller.status.status_builder import Surroundings
from reconciler.controller.workqueue import WorkQueue
from reconciler.engines.protocol import Engine
from reconciler.errors import EngineUnavailable, ReconcilerError
from reconciler.sources.folder.catalog import Catalog
from reconciler.sources.git.git_sync import Origin
from reconciler.state.record_store import RecordStore
from reconciler.state.sidecar_writer import SidecarWriter

ENDED = frozenset({"Complete", "Failed", "Invalid"})
#: Seconds that passes under way may take at the end.
LAST_PASSES = 3.0
#: The same before jobs are stopped: what is being started now has to be known to be stopped.
PASSES_BEFORE_STOP = 60.0

_log = structlog.get_logger(__name__)


class Work:
    """Everything between the folder's catalog and the engine.

    Args:
        settings: as chosen by the user.
        clock: the host's.
        on_phase: told of each change of a job's phase, in place of the log.
        only: whether a TrainJob is to be run here; None: all are.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        on_phase: Callable[[str, Mapping[str, Any]], None] | None,
        only: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> None:
        self._only = only
        self.liveness = Liveness()
        self.relisting = Relisting()
        # Until the folder has been read nothing may be taken for removed.
        self.catalog = Catalog(state="missing")
        self._settings = settings
        self._clock = clock
        self._clock_set = watch(clock)
        self._queue = WorkQueue(clock)
        self._planner = planner = Planner()
        self._given = Provisions(settings, planner, lambda: self.catalog)
        self._tidied = False
        self._origin: Origin | None = None
        state = settings.state_dir
        self._sidecars = SidecarWriter(clock=time.monotonic, on_error=log_unwritten)
        self._outlet = FolderOutlet(
            records=RecordStore(state / "records" / settings.instance),
            sidecars=self._sidecars,
            specs=settings.specs.absolute(),
            status_dir=settings.status_dir.absolute() if settings.status_dir else None,
            locate=self._locate,
            on_phase=on_phase or log_phase,
            clock=clock,
        )
        self._telling = Telling(self._outlet, self._sidecars)
        self._ledger = Ledger(
            inventory=self._given.devices,
            capacity=self._given.capacity,
            max_jobs=settings.max_jobs,
            preempt=settings.preempt,
            on_release=self._queue.add,
        )
        self._recorded = set(self._outlet.keys())
        for key in sorted(self._recorded):
            record = self._outlet.load(key)
            if record is not None:
                self._ledger.follow(record)
        self.inbox = Inbox(clock=clock, wake=self._queue.add_at)
        self._reconciler = Reconciler(
            hands=self._given.hands,
            outlet=self._outlet,
            planner=planner,
            ledger=self._ledger,
            policy=Policy.of(settings),
            clock=clock,
            probe=self._given.probed,
            pull=self._given.pull,
            priority=self._given.priority,
            refusal=self._given.refusal,
            inbox=self.inbox,
        )

    # -- what makes jobs come up

    def attach(self, engine: Engine) -> None:
        """Work with this engine from now on.

        Raises:
            EngineUnavailable: it does not answer.
        """
        info = engine.info()
        _log.info("using container engine", engine=info.name, version=info.version, host=info.host)
        self._given.attachment = Attachment(
            engine,
            info,
            instance=self._settings.instance,
            log_dir=self._settings.log_dir,
            clock=self._clock,
            on_key=self._queue.add,
            on_image=self._image_changed,
            on_relist=self.resync,
        )
        self._enqueue_all()

    def hear(self, progress: ProgressService) -> None:
        """Let trainings report to this service from now on."""
        self._given.progress = progress

    def uid_of(self, key: str) -> str | None:
        """Which life of a job this is; None where there is no such job."""
        record = self._outlet.load(key)
        return record.uid if record is not None else None

    def unfinished(self) -> set[str]:
        """Keys of the jobs that may still report."""
        return self._outlet.unfinished()

    def no_engine(self, error: EngineUnavailable) -> None:
        """No engine answers so far: jobs say so, and wait."""
        if str(error) != str(self._given.unavailable):
            self._given.unavailable = error
            self._enqueue_all()

    def take(self, catalog: Catalog) -> None:
        """The folder has been read; the jobs that this changes come up."""
        old, self.catalog = self.catalog, catalog
        if catalog is old:
            return
        recorded = self._recorded_keys()
        everything = resources_changed(old, catalog)
        for key, entry in catalog.jobs.items():
            if everything or old.jobs.get(key) != entry:
                self._queue.add(key)
        for key in self._gone(recorded):
            self._queue.add(key)
        self._telling.tell_folder(old, catalog, recorded)
        self._telling.drop_departed(old, catalog, recorded)
        self._telling.tell_others(old, catalog)
        self._telling.retain(catalog, recorded)
        if catalog.state == "ok" and not self._tidied:
            self._tidied = True
            self._outlet.drop_orphans()

    def come_from(self, origin: Origin) -> None:
        """The manifests are those of this revision from now on; every job's status says so."""
        if origin != self._origin:
            self._origin = origin
            self._given.revision = origin.revision
            self._enqueue_all()

    def resync(self) -> None:
        """One listing of everything that is this instance's; jobs that look different now come up."""
        attachment = self._given.attachment
        if attachment is None:
            return
        changed = self.relisting.changed(attachment.engine, self._settings.instance, self._reconciler.seen)
        if changed is None:
            return
        for key in changed + self._gone(self._recorded_keys()):
            self._queue.add(key)
        self._sidecars.rewrite_missing()

    def mind_clock(self) -> None:
        """Where somebody has set the clock every job comes up: times that were waited for are others now."""
        if by := self._clock_set():
            _log.warning("the clock was set; what is counted goes on as before", by=round(by, 1))
            self._enqueue_all()

    def reconfigure(self, settings: Settings) -> None:
        """Go on with other settings; every job comes up, for whom they may change something."""
        self._settings = settings
        self._given.reconfigure(settings)
        self._ledger.reconfigure(max_jobs=settings.max_jobs, preempt=settings.preempt)
        self._reconciler.policy = Policy.of(settings)
        self._enqueue_all()

    def _enqueue_all(self) -> None:
        for key in sorted(self.catalog.jobs.keys() | self._recorded):
            self._queue.add(key)

    def _gone(self, recorded: set[str]) -> list[str]:
        """Jobs with a record whose manifest was removed for good."""
        gone = []
        for key in sorted(recorded - self.catalog.jobs.keys()):
            record = self._outlet.load(key)
            if record is not None and may_delete(self.catalog, record.file, self._settings):
                gone.append(key)
        return gone

    def _image_changed(self, image: str) -> None:
        for key in sorted(self._given.image_changed(image)):
            self._queue.add(key)

    # -- working

    def loop(self) -> None:
        """A worker: passes over keys until the work is closed."""
        while (key := self._queue.get()) is not None:
            try:
                with self.liveness.work(f"the pass over {key}"):
                    self._pass(key)
            finally:
                self._queue.done(key)

    def _pass(self, key: str) -> None:
        namespace, _, name = key.partition("/")
        structlog.contextvars.bind_contextvars(
            job=name, namespace=namespace, reconcile_id=uuid.uuid4().hex[:8]
        )
        try:
            when = self._reconcile(key)
        except EngineUnavailable as error:
            self._outlet.amend(key, self._file_of(key), str(error))
            # Before the first answer everything comes up by itself when there is one.
            if self._given.attachment is not None:
                delay = self._queue.retry(key)
                _log.warning("the engine does not answer", reason=str(error), retry_in=delay)
        except ReconcilerError as error:
            self._outlet.amend(key, self._file_of(key), str(error))
            delay = self._queue.retry(key)
            _log.warning("could not reconcile", reason=str(error), retry_in=delay)
        except Exception:  # noqa: BLE001  (see below)
            # The worker's boundary: an error of this program in one job must not take the others along.
            if self._queue.closed:
                _log.debug("a pass was cut off by the end", exc_info=True)
                return
            delay = self._queue.retry(key)
            _log.exception("an error of this program; please report it", retry_in=delay)
        else:
            self._queue.forget(key)
            if when is not None:
                self._queue.add_at(key, when)
        finally:
            structlog.contextvars.clear_contextvars()

    def _reconcile(self, key: str) -> float | None:
        record, catalog = self._outlet.load(key), self.catalog
        policy = self._given.guard.digest
        match verdict(key, catalog, record, settings=self._settings, ours=self._is_ours, policy=policy):
            case Go() as go:
                return self._reconciler.reconcile(self._request(key, go.wanted, go.faults))
            case Refused() as refused:
                self._outlet.tell_invalid("TrainJob", key, refused.file, refused.faults)
            case Gone():
                self._reconciler.reconcile(Request(key=key, wanted=None))
                self._given.forget_secrets(key)
        return None

    def _is_ours(self, job: Mapping[str, Any]) -> bool:
        return self._only is None or self._only(job)

    def _request(self, key: str, wanted: Wanted, faults: Iterable[Fault]) -> Request:
        info, origin = self._given.info, self._origin
        around = Surroundings(
            engine=(info.name, info.version),
            log_dir=str(self._settings.log_dir),
            source=origin.source(wanted.file) if origin is not None else {},
            conditions=(origin.condition,) if origin is not None else (),
        )
        return Request(key=key, wanted=wanted, faults=tuple(faults), surroundings=around)

    # -- telling

    def _locate(self, key: str) -> str | None:
        entry = self.catalog.jobs.get(key)
        return entry.file if entry is not None else None

    def _file_of(self, key: str) -> str:
        record = self._outlet.load(key)
        return self._locate(key) or (record.file if record is not None else "")

    def _recorded_keys(self) -> set[str]:
        return set(self._outlet.keys())

    # -- the end

    def flush(self) -> float | None:
        """Write statuses that are due; seconds until the next is."""
        return self._sidecars.flush()

    def at_rest(self) -> bool:
        """Nothing is being worked on or pulled."""
        return self._queue.idle() and not self._given.pulling()

    def all_ended(self) -> bool:
        """Every job of the folder has ended, and so has the removal of what it left."""
        return all(self._outlet.phase(key) in ENDED for key in managed(self.catalog))

    def all_complete(self) -> bool:
        """Every job of the folder is Complete, and no file is broken."""
        broken = any(other_faults(self.catalog))
        return not broken and all(self._outlet.phase(key) == "Complete" for key in managed(self.catalog))

    def phases(self) -> Counter[str]:
        """How many of the folder's jobs are in which phase."""
        return Counter(self._outlet.phase(key) or "Pending" for key in managed(self.catalog))

    @property
    def engine_trouble(self) -> str:
        """Why there is no engine to work with now; "" when there is one."""
        return self.relisting.error if self._given.attachment is not None else str(self._given.unavailable)

    @property
    def engine_name(self) -> str:
        """``podman 4.3.1``; "" before one has answered."""
        return f"{self._given.info.name} {self._given.info.version}".strip()

    def stop_jobs(self) -> None:
        """Stop all containers in good order, logs kept; the jobs go on under the next daemon."""
        self._queue.close(patience=PASSES_BEFORE_STOP)
        if self._given.attachment is None:
            return
        ours = [r for key in self._recorded_keys() if (r := self._outlet.load(key)) and self._is_ours(r.job)]
        stand_down(
            [(record, self._request(record.key, from_record(record), ())) for record in ours],
            hands=self._given.hands,
            outlet=self._outlet,
            planner=self._planner,
            clock=self._clock,
        )

    def close(self, *, patience: float = LAST_PASSES) -> None:
        """Stop working; write statuses out; leave containers alone.

        Args:
            patience: seconds that passes under way may take: an embedding program may start the next
                controller at once. Where the process ends, they may as well be cut off.
        """
        self._queue.close(patience=patience)
        self._sidecars.flush(everything=True)
        if self._given.attachment is not None:
            self._given.attachment.close()
