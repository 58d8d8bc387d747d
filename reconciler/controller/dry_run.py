"""What a pass would do now, without doing it: ``reconciler diff``.

The same decision as the daemon's, over the same listing; admission and pulls are taken to succeed, and the
first wave of containers is where it ends: what comes after depends on how those do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.config.settings import Settings
from reconciler.controller.clock import HostClock, follow
from reconciler.controller.daemon.engine_connection import connect
from reconciler.controller.daemon.folder_lock import require_folder
from reconciler.controller.enforcement.enforcer import Guard
from reconciler.controller.executor.execution_context import selector
from reconciler.controller.plan_cache import Planner
from reconciler.controller.snapshots import key_of
from reconciler.controller.statemachine.acceptance import Wanted, first_sight, snapshot, update
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
from reconciler.controller.statemachine.decide import Policy, decide
from reconciler.controller.statemachine.desired_state import Go, Gone, Refused, verdict
from reconciler.controller.statemachine.image_state import ImageState
from reconciler.controller.statemachine.observation import Observed, Refusal
from reconciler.engines.protocol import Engine, NetworkState
from reconciler.errors import PlanError
from reconciler.names import LABEL_INSTANCE, job_key
from reconciler.plan.job_plan import JobPlan
from reconciler.sources.folder.catalog import Catalog, JobEntry
from reconciler.sources.folder.folder_source import FolderSource
from reconciler.sources.runtimes.available_runtimes import available_runtimes
from reconciler.state.record import Record
from reconciler.state.record_recovery import recover
from reconciler.state.record_store import RecordStore
from reconciler.state.sidecar_writer import document_key, read_sidecar, sidecar_path

MAX_PASSES = 6
#: Stands in for what only the engine will say.
PLANNED = NetworkState(id="planned", name="", labels={}, subnet="10.0.0.0/16")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that would be done.

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


def preview(settings: Settings) -> list[Change]:
    """What ``run --once`` would do now, touching nothing.

    Raises:
        EngineUnavailable: no engine answers.
        ReconcilerError: the folder is not there.
    """
    runtimes = available_runtimes(settings.runtime_sources, clock=time.time).documents
    source = FolderSource(settings.specs.absolute(), builtin=runtimes, clock=time.time)
    require_folder(settings)
    engine = connect(settings)
    try:
        return preview_folder(settings, source.scan(patient=False), engine)
    finally:
        engine.close()


def preview_folder(settings: Settings, catalog: Catalog, engine: Engine) -> list[Change]:
    """Every change that ``run --once`` would make now.

    Raises:
        EngineError: the engine could not be asked.
        StateError: a record cannot be read.
    """
    records = RecordStore(settings.state_dir / "records" / settings.instance)
    guard = Guard(settings, socket=settings.container_host or "")
    changes = [
        Change(verb="refuse", kind="manifest", name=file, job="", reason=str(faults[0]))
        for file, faults in sorted(catalog.file_faults.items())
        if faults
    ]
    for key in sorted({*catalog.jobs, *records.keys(), *_labelled(settings, engine)}):
        entry = catalog.jobs.get(key)
        record = records.load(key) or _recovered(settings, key, entry)
        match verdict(key, catalog, record, settings=settings, ours=lambda _: True, policy=guard.digest):
            case Go() as go:
                changes += _of_job(settings, engine, go.wanted, record, guard=guard)
                if entry is not None and entry.refused and entry.file not in catalog.file_faults:
                    changes.append(_refusal(key, str(entry.refused[0])))
            case Refused() as refused if refused.file not in catalog.file_faults:
                changes.append(_refusal(key, str(refused.faults[0])))
            case Gone():
                changes += _removed(settings, engine, key)
    return changes


def _labelled(settings: Settings, engine: Engine) -> set[str]:
    """Whose things this instance has on the engine, whatever is known of them."""
    mine = {LABEL_INSTANCE: settings.instance}
    containers = {key_of(container.labels) for container in engine.list_containers(mine)}
    return containers | {key_of(network.labels) for network in engine.list_networks(mine)}


def _recovered(settings: Settings, key: str, entry: JobEntry | None) -> Record | None:
    """A lost record, as the daemon would recover it."""
    if entry is None:
        return None
    path = sidecar_path(Path(entry.file), specs=settings.specs.absolute(), status_dir=settings.status_dir)
    told = next((d for d in read_sidecar(path) if document_key(d) == f"TrainJob/{key}"), None)
    return recover(told) if told is not None else None


def _refusal(key: str, reason: str) -> Change:
    return Change(verb="refuse", kind="job", name=key.partition("/")[2], job=key, reason=reason)


def _of_job(
    settings: Settings, engine: Engine, wanted: Wanted, old: Record | None, *, guard: Guard
) -> list[Change]:
    key = job_key(wanted.namespace, wanted.name)
    clock = HostClock()
    timeline = clock.timeline()
    now = clock.on(timeline)
    record = (
        update(old, wanted, uid="planned", now=now) if old else first_sight(wanted, uid="planned", now=now)
    )
    record = follow(record, timeline, now=now)
    if not record.runtime:
        if wanted.runtime is None:
            reason = "its runtime is not there"
            return [Change(verb="wait", kind="job", name=wanted.name, job=key, reason=reason)]
        record = snapshot(record, wanted.runtime)
    try:
        plan = Planner().plan(record)
    except PlanError as error:
        return [_refusal(key, str(error))]
    refusal = Refusal()
    if not record.finished:
        refusal = guard.refusal(plan, job=record.job, runtime=record.runtime, image_user=engine.image_user)
    changes = _passes(settings, engine, plan, record, now, refusal)
    return [*changes, _refusal(key, record.rejected)] if record.rejected else changes


def _passes(  # noqa: PLR0917  (one after the other, as they come about)
    settings: Settings, engine: Engine, plan: JobPlan, record: Record, now: float, refusal: Refusal
) -> list[Change]:
    mine = selector(plan.namespace, plan.name, settings.instance)
    network = next((n for n in engine.list_networks(mine) if n.name == plan.network), None)
    listed = tuple(engine.list_containers(mine))
    observed = Observed(containers=listed, network=network, refusal=refusal)
    policy = Policy.of(settings)
    changes: list[Change] = []
    for _ in range(MAX_PASSES):
        decision = decide(plan, observed, record, now, policy)
        if decision.record.finished and not record.finished and refusal.message:
            job = f"{plan.namespace}/{plan.name}"
            changes.append(Change(verb="refuse", kind="job", name=plan.name, job=job, reason=refusal.message))
        record = decision.record
        again = False
        for action in decision.actions:
            changes += _changes(plan, observed, engine, action)
            match action:
                case Admit():
                    record, again = record.model_copy(update={"admitted": True}), True
                case EnsureNetwork():
                    observed = replace(observed, network=observed.network or PLANNED)
                case PullImages():
                    there = {i: ImageState(image=i, status="present") for i, _, _ in action.images}
                    observed, again = replace(observed, images={**observed.images, **there}), True
        if not again:
            break
    return changes


def _changes(plan: JobPlan, observed: Observed, engine: Engine, action: Action) -> Iterator[Change]:
    job = f"{plan.namespace}/{plan.name}"
    match action:
        case EnsureNetwork() if observed.network is None:
            yield Change(verb="create", kind="network", name=plan.network, job=job)
        case PullImages():
            for image, policy, _ in action.images:
                if not engine.image_exists(image):
                    verb = "wait" if policy == "Never" else "pull"
                    yield Change(verb=verb, kind="image", name=image, job=job, reason=f"policy {policy}")
        case Launch():
            for name in action.containers:
                yield Change(verb="create", kind="container", name=name, job=job)
        case Remove() | Stop():
            verb = "remove" if isinstance(action, Remove) else "stop"
            for state in action.containers:
                yield Change(verb=verb, kind="container", name=state.name, job=job, reason=action.why)
        case CleanUp() if observed.network is not None:
            yield Change(verb="remove", kind="network", name=plan.network, job=job)


def _removed(settings: Settings, engine: Engine, key: str) -> list[Change]:
    namespace, _, name = key.partition("/")
    mine = selector(namespace, name, settings.instance)
    reason = "its manifest was removed"
    return [
        Change(verb="remove", kind="container", name=c.name, job=key, reason=reason)
        for c in engine.list_containers(mine)
    ] + [
        Change(verb="remove", kind="network", name=n.name, job=key, reason=reason)
        for n in engine.list_networks(mine)
    ]
