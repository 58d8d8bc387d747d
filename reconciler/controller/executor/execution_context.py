"""What actions on the engine work with, for one job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.controller.statemachine.observation import label_number
from reconciler.names import LABEL_ATTEMPT, LABEL_JOB, LABEL_NAMESPACE, LABEL_UID
from reconciler.state.kept_logs.log_paths import LogLocation

if TYPE_CHECKING:
    # The services themselves are the engine session's; here only their types are known.
    from reconciler.controller.enforcement.enforcer import PolicyEnforcer
    from reconciler.controller.executor.placement import Host
    from reconciler.controller.nodeservices.logs.log_collector import LogCollector
    from reconciler.controller.nodeservices.progress.progress_endpoints import ProgressEndpoints
    from reconciler.controller.statemachine.actions import ImageRequest
    from reconciler.controller.statemachine.observation import ImageState, LogState
    from reconciler.controller.thread_pool import DaemonThreadPool
    from reconciler.engines.protocol import ContainerState, Engine, NetworkState
    from reconciler.plan.resolver import Lookup


@dataclass(frozen=True, kw_only=True)
class ExecutionContext:
    """What actions work with, for one job.

    Attributes:
        launch_pool: threads that create and start containers.
        stop_pool: threads that stop them and wait out grace periods.
        selector: labels of everything that the job has on the engine.
        host: facts of the engine's host; ``files`` is the job's own folder.
        lookup: data of the Secrets and ConfigMaps in the job's namespace.
        spec_hash: of the job's plan; "" without one.
        enforcer: the policy, checked again when a hostPath is used.
        priority: among the jobs that wait for admission; the higher goes first.
        pull_image: asks for an image.
        forget_image: called when an image turns out to be gone.
        progress_endpoints: opens what the containers report their progress to, and says where that is;
            takes the job's network and whether containers run on it.
    """

    engine: Engine
    logs: LogCollector
    launch_pool: DaemonThreadPool
    stop_pool: DaemonThreadPool
    selector: Mapping[str, str]
    host: Host
    lookup: Lookup
    spec_hash: str
    enforcer: PolicyEnforcer
    priority: int
    pull_image: Callable[[ImageRequest], ImageState]
    forget_image: Callable[[str], None]
    progress_endpoints: Callable[[NetworkState, bool], ProgressEndpoints]


def observe_logs(containers: Iterable[ContainerState], context: ExecutionContext) -> dict[str, LogState]:
    """Has the containers' logs read, to the end where they have ended; returns how far each is, by id."""
    logs: dict[str, LogState] = {}
    for state in containers:
        location = log_location_of(state)
        if state.state in {"running", "paused"}:
            logs[state.id] = context.logs.follow(state.id, location)
        elif state.state == "exited":
            ended_at = state.exit.finished_at if state.exit is not None else None
            logs[state.id] = context.logs.finish(state.id, location, ended_at=ended_at)
    return logs


def log_location_of(state: ContainerState) -> LogLocation:
    """Where the log of a listed container goes: by its own labels, whatever attempt it is of."""
    return LogLocation(
        namespace=state.labels.get(LABEL_NAMESPACE, ""),
        job=state.labels.get(LABEL_JOB, ""),
        attempt=max(label_number(state.labels.get(LABEL_ATTEMPT)), 0),
        container=state.name,
        uid=state.labels.get(LABEL_UID, ""),
    )
