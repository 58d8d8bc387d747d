"""What actions on the engine work with, and how a job's things are found there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.controller.enforcement.enforcer import Guard
from reconciler.controller.executor.container_specs import Host
from reconciler.controller.nodeservices.log_collector import LogKeeper, LogPlace
from reconciler.controller.nodeservices.progress.progress_endpoints import Reach
from reconciler.controller.statemachine.observation import number
from reconciler.engines.protocol import ContainerState, Engine, NetworkState
from reconciler.names import LABEL_ATTEMPT, LABEL_INSTANCE, LABEL_JOB, LABEL_NAMESPACE
from reconciler.plan.job_plan import JobPlan
from reconciler.plan.resolver import Lookup
from reconciler.state.record import Record


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What actions work with.

    Attributes:
        launching: executor for creates and starts; ``stopping`` for stops, which wait out grace periods.
        host: facts of the engine's host; ``files`` is replaced per job.
        forget_image: called when an image turns out to be gone.
        guard: the policy, asked again when a hostPath is used.
        reach: opens what a job's containers report their progress to, and says where that is.
    """

    engine: Engine
    logs: LogKeeper
    launching: Executor
    stopping: Executor
    host: Host
    lookup: Lookup
    spec_hash: str
    forget_image: Callable[[str], None]
    guard: Guard
    reach: Callable[[JobPlan, NetworkState, bool], Reach] = lambda _plan, _network, _running: Reach()


def selector(namespace: str, name: str, instance: str) -> dict[str, str]:
    """The labels by which everything of a job is found."""
    return {LABEL_INSTANCE: instance, LABEL_NAMESPACE: namespace, LABEL_JOB: name}


def for_job(hands: Hands, record: Record) -> Hands:
    """The same hands, with the job's own folder of files."""
    folder = Path(hands.host.files) / record.namespace / record.name
    return replace(hands, host=replace(hands.host, files=str(folder)))


def log_place(record: Record, name: str) -> LogPlace:
    """Where the log of a container of the current attempt goes."""
    return LogPlace(namespace=record.namespace, job=record.name, attempt=record.attempt, container=name)


def place_of(state: ContainerState) -> LogPlace:
    """Where the log of a listed container goes: by its own labels, whatever attempt it is of."""
    return LogPlace(
        namespace=state.labels.get(LABEL_NAMESPACE, ""),
        job=state.labels.get(LABEL_JOB, ""),
        attempt=max(number(state.labels.get(LABEL_ATTEMPT)), 0),
        container=state.name,
    )
