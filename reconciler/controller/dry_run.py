"""What a pass would do now, without doing it: ``reconciler diff``.

The same desired state, record, plan and decision as the daemon's, over the same listing. Admission and pulls
count as successful; it ends with the first containers to start: what follows depends on how they do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler.config.settings import Settings
from reconciler.controller.clock import HostClock, rebase
from reconciler.controller.daemon.engine_connection import connect
from reconciler.controller.enforcement.enforcer import PolicyEnforcer
from reconciler.controller.enforcement.host_paths import HostPathUnansweredError
from reconciler.controller.engine_session import has_started
from reconciler.controller.missing_containers import confirm_missing
from reconciler.controller.plan_cache import build_plan
from reconciler.controller.statemachine.acceptance import DesiredJob, accept_manifest, pin_runtime
from reconciler.controller.statemachine.actions import (
    Action,
    Admit,
    CleanUp,
    EnsureNetwork,
    Launch,
    PullImages,
    Remove,
    Stop,
)
from reconciler.controller.statemachine.decide import DecisionOptions, decide
from reconciler.controller.statemachine.desired_state import Apply, Delete, Reject, resolve_desired_state
from reconciler.controller.statemachine.observation import ImageState, Observed, PolicyRefusal
from reconciler.controller.statemachine.ownership import observe, take_over
from reconciler.engines.protocol import Engine, NetworkState
from reconciler.errors import PlanError
from reconciler.names import LABEL_INSTANCE, job_key, job_key_of, job_selector, short_key
from reconciler.plan.job_plan import JobPlan
from reconciler.sources.folder.catalog import Catalog, JobEntry, describe_guard
from reconciler.sources.folder.folder_source import FolderSource, require_specs_folder
from reconciler.sources.runtimes.available_runtimes import load_available_runtimes
from reconciler.state.record import Record
from reconciler.state.record_store import RecordStore
from reconciler.state.recovery.record_recovery import recover_record
from reconciler.state.requests.removal_requests import RemovalRequests
from reconciler.state.sidecar_files import document_key, load_documents, sidecar_path, sidecar_root
from reconciler.state.sidecar_reader import shows_guard

#: Decisions over one job in a row: admission, pulls and launches need three.
MAX_ROUNDS: Final = 6
#: Stands for a network that only the engine could create.
PLANNED_NETWORK: Final = NetworkState(id="planned", name="", labels={}, subnet="10.0.0.0/16")
#: Stands for the uid of a job that is new, or starts again.
PLANNED_UID: Final = "planned"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that a pass would do.

    Attributes:
        verb: create, remove, stop, pull, wait or refuse.
        kind: container, network, image, job or manifest.
        job: ``namespace/name``; "" of a manifest.
    """

    verb: str
    kind: str
    name: str
    job: str
    reason: str = ""


def dry_run(settings: Settings) -> list[Change]:
    """Returns what ``run --once`` would do now, touching nothing.

    Raises:
        EngineUnavailable: no engine answers.
        EngineError: the engine could not be asked.
        StateError: a record cannot be read.
        ReconcilerError: the folder is not there.
    """
    runtimes = load_available_runtimes(settings.runtime_sources, clock=time.time).documents
    records, removals = RecordStore.of(settings), RemovalRequests.of(settings)
    source = FolderSource(
        settings.specs.absolute(),
        fallback_runtimes=runtimes,
        clock=time.time,
        sidecars=settings.status_dir,
        allow_empty=settings.allow_empty,
        removed_by_name=lambda: removals.keys_for(records.load),
        is_guarded=lambda: shows_guard(sidecar_root(settings.specs, settings.status_dir)),
    )
    require_specs_folder(settings)
    engine = connect(settings)
    try:
        return _DryRun(settings, source.scan(grace=False), engine).changes()
    finally:
        engine.close()


class _DryRun:
    def __init__(self, settings: Settings, catalog: Catalog, engine: Engine) -> None:
        self._settings = settings
        self._catalog = catalog
        self._engine = engine
        self._enforcer = PolicyEnforcer(settings, socket=settings.container_host or "")

    def changes(self) -> list[Change]:
        """Returns every change, files first, then jobs by key."""
        records = RecordStore.of(self._settings)
        changes = [
            Change(verb="refuse", kind="manifest", name=file, job="", reason=str(faults[0]))
            for file, faults in sorted(self._catalog.file_faults.items())
            if faults
        ]
        for key in sorted({*self._catalog.jobs, *records.keys(), *self._jobs_on_engine()}):
            entry = self._catalog.jobs.get(key)
            changes += self._changes_of(key, entry, records.load(key) or self._recover_record(key, entry))
        return changes

    def _jobs_on_engine(self) -> set[str]:
        """Returns the keys of all jobs of which this instance has something on the engine."""
        selector = {LABEL_INSTANCE: self._settings.instance}
        containers = {job_key_of(container.labels) for container in self._engine.list_containers(selector)}
        return containers | {job_key_of(network.labels) for network in self._engine.list_networks(selector)}

    def _recover_record(self, key: str, entry: JobEntry | None) -> Record | None:
        """Recovers a lost record from the sidecar, as the daemon would."""
        if entry is None:
            return None
        specs, status_dir = self._settings.specs.absolute(), self._settings.status_dir
        path = sidecar_path(Path(entry.file), specs=specs, status_dir=status_dir)
        document = next((d for d in load_documents(path) if document_key(d) == f"TrainJob/{key}"), None)
        return recover_record(document) if document is not None else None

    def _changes_of(self, key: str, entry: JobEntry | None, record: Record | None) -> list[Change]:
        state = resolve_desired_state(
            key,
            self._catalog,
            record,
            settings=self._settings,
            is_selected=lambda _: True,
            policy_digest=self._enforcer.policy_digest,
        )
        match state:
            case Apply():
                changes = [*self._wait_for_manifest(key, entry), *self._apply(state.desired, record)]
                if entry is not None and entry.rejections and entry.file not in self._catalog.file_faults:
                    changes.append(_refuse_job(key, str(entry.rejections[0])))
                return changes
            case Reject() if state.file not in self._catalog.file_faults:
                return [_refuse_job(key, str(state.faults[0]))]
            case Delete():
                return self._delete(key, record)
        return []

    def _wait_for_manifest(self, key: str, entry: JobEntry | None) -> Iterator[Change]:
        """What goes on without its manifest, because the whole folder is gone."""
        guard = describe_guard(self._catalog.state, self._settings.specs, short_key(key))
        if entry is None and guard:
            name = key.rpartition("/")[2]
            yield Change(verb="wait", kind="job", name=name, job=key, reason=guard)

    def _apply(self, desired: DesiredJob, old: Record | None) -> list[Change]:
        key, clock = job_key(desired.namespace, desired.name), HostClock()
        timeline = clock.timeline()
        now = clock.now_on(timeline)
        record = accept_manifest(
            old,
            desired,
            uid=PLANNED_UID,
            now=now,
            has_started=lambda: old is not None and has_started(self._engine, old, self._settings.instance),
        )
        record = rebase(record, timeline, now=now)
        record = pin_runtime(record, desired, (), now=now)
        if not record.runtime:
            reason = "its runtime is not there"
            return [Change(verb="wait", kind="job", name=desired.name, job=key, reason=reason)]
        try:
            plan = build_plan(record)
        except PlanError as error:
            return [_refuse_job(key, str(error))]
        try:
            observed = self._observe(plan, record)
        except HostPathUnansweredError as error:
            return [Change(verb="wait", kind="job", name=desired.name, job=key, reason=str(error))]
        if record.unseen:
            record = take_over(observed, record)
            plan = build_plan(record)
        changes = self._decide(plan, record, observed, now)
        return [*changes, _refuse_job(key, record.rejected)] if record.rejected else changes

    def _observe(self, plan: JobPlan, record: Record) -> Observed:
        selector = job_selector(plan.namespace, plan.name, self._settings.instance)
        refusal = PolicyRefusal()
        if not record.finished:
            refusal = self._enforcer.check(plan, record, self._engine.image_user)
        containers, networks = self._engine.list_containers(selector), self._engine.list_networks(selector)
        confirm_missing(self._engine, containers, record)
        return replace(observe(containers, networks, plan, record), refusal=refusal)

    def _decide(self, plan: JobPlan, record: Record, observed: Observed, now: float) -> list[Change]:
        """Decides until something would have to happen on the engine first."""
        options = DecisionOptions.from_settings(self._settings)
        changes: list[Change] = []
        for _ in range(MAX_ROUNDS):
            decision = decide(plan, observed, record, now, options)
            if decision.record.finished and not record.finished and observed.refusal.message:
                changes.append(_refuse_job(record.key, observed.refusal.message))
            record = decision.record
            decide_again = False
            for action in decision.actions:
                changes += self._changes_by(action, plan, observed)
                match action:
                    case Admit():
                        record, decide_again = record.replace(admitted=True), True
                    case EnsureNetwork():
                        observed = replace(observed, network=observed.network or PLANNED_NETWORK)
                    case PullImages():
                        pulled = {i.image: ImageState(image=i.image, status="present") for i in action.images}
                        observed = replace(observed, images={**observed.images, **pulled})
                        decide_again = True
            if not decide_again:
                break
        return changes

    def _changes_by(self, action: Action, plan: JobPlan, observed: Observed) -> Iterator[Change]:
        job = job_key(plan.namespace, plan.name)
        match action:
            case EnsureNetwork() if observed.network is None:
                yield Change(verb="create", kind="network", name=plan.network, job=job)
            case PullImages():
                for image, policy, _ in action.images:
                    if not self._engine.image_exists(image):
                        verb = "wait" if policy == "Never" else "pull"
                        yield Change(verb=verb, kind="image", name=image, job=job, reason=f"policy {policy}")
            case Launch():
                for pod in action.pods:
                    for name in pod.containers:
                        yield Change(verb="create", kind="container", name=name, job=job)
            case Remove() | Stop():
                verb = "remove" if isinstance(action, Remove) else "stop"
                for state in action.containers:
                    yield Change(verb=verb, kind="container", name=state.name, job=job, reason=action.why)
            case CleanUp() if observed.network is not None:
                yield Change(verb="remove", kind="network", name=plan.network, job=job)

    def _delete(self, key: str, known: Record | None) -> list[Change]:
        namespace, _, name = key.partition("/")
        record = known or Record(namespace=namespace, name=name, uid="", created_at=0.0)
        selector = job_selector(namespace, name, self._settings.instance)
        containers, networks = self._engine.list_containers(selector), self._engine.list_networks(selector)
        observed = observe(containers, networks, None, record)
        names = [("container", c.name) for c in observed.containers]
        names += [("network", observed.network.name)] if observed.network is not None else []
        reason = "its manifest was removed"
        return [Change(verb="remove", kind=kind, name=name, job=key, reason=reason) for kind, name in names]


def _refuse_job(key: str, reason: str) -> Change:
    return Change(verb="refuse", kind="job", name=key.partition("/")[2], job=key, reason=reason)
