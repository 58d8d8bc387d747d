"""Jobs as callers see them: :class:`TrainJob` and :class:`Event` from manifest and sidecar; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from reconciler.client.constants import constants
from reconciler.client.manifests.submission import ANNOTATION_RUNTIME
from reconciler.client.runtime_objects import (
    containers_of,
    devices_of,
    replicated_jobs,
    runtime_from,
    unknown_runtime,
)
from reconciler.client.types.types import Event, Runtime, Step, TrainJob
from reconciler.state.sidecar_reader import NodeStatus, parse_time

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.client.jobs.job_snapshots import Job

_ENDS = {
    "Complete": constants.TRAINJOB_COMPLETE,
    "Failed": constants.TRAINJOB_FAILED,
    "Invalid": constants.TRAINJOB_FAILED,
}


def job_from(job: Job, runtimes: Mapping[str, Document]) -> TrainJob:
    """The job as it is now.

    Args:
        job: manifest and sidecar.
        runtimes: those there are, by name.
    """
    name = runtime_name(job)
    document = runtimes.get(name)
    runtime = _runtime(name, document)
    nodes = job.status.nodes if job.status is not None else ()
    asked = _mapping(job.spec.get("trainer")).get("numNodes")
    total = asked if isinstance(asked, int) else job.nodes_total or runtime.trainer.num_nodes
    devices = _devices(job, document)
    created = job.status.created_at if job.status is not None else None
    status = job.status.status if job.status is not None else {}
    return TrainJob(
        name=job.name,
        runtime=runtime,
        steps=[_step(node, devices) for node in nodes],
        num_nodes=total,
        creation_timestamp=datetime.fromtimestamp(created or 0.0, tz=UTC),
        status=status_of(job.phase, nodes, total),
        phase=job.phase,
        message=job.message,
        progress=_mapping(status.get("trainerStatus")) or None,
    )


def runtime_name(job: Job) -> str:
    """Of the runtime that the job was asked to use."""
    annotations = _mapping(_mapping(job.manifest.get("metadata")).get("annotations"))
    return str(annotations.get(ANNOTATION_RUNTIME) or _mapping(job.spec.get("runtimeRef")).get("name") or "")


def status_of(phase: str, nodes: Sequence[NodeStatus], total: int) -> str:
    """Upstream's word: Running once every training node runs or has ended well."""
    if phase in _ENDS:
        return _ENDS[phase]
    ready = sum(node.ready for node in nodes if node.rank is not None)
    return constants.TRAINJOB_RUNNING if 0 < total <= ready else constants.TRAINJOB_CREATED


def events_from(job: Job) -> list[Event]:
    """Oldest first."""
    events = job.status.events if job.status is not None else ()
    return [
        Event(
            involved_object_kind=constants.TRAINJOB_KIND,
            involved_object_name=job.name,
            message=str(event.get("message", "")),
            reason=str(event.get("reason", "")),
            event_time=datetime.fromtimestamp(parse_time(event.get("time")) or 0.0, tz=UTC),
        )
        for event in events
    ]


def step_name(node: NodeStatus) -> str:
    """``node-<rank>`` of a node; others by their step."""
    return f"{constants.NODE}-{node.rank}" if node.rank is not None else node.step or node.name


def _step(node: NodeStatus, devices: Mapping[str, tuple[str, str]]) -> Step:
    device, count = devices.get(node.step, (constants.UNKNOWN, constants.UNKNOWN))
    return Step(
        name=step_name(node), status=_step_status(node), pod_name=node.name, device=device, device_count=count
    )


def _step_status(node: NodeStatus) -> str:
    """In the words of a job, as upstream's container backend has it."""
    if node.state == "exited" or node.exit_code is not None:
        return constants.TRAINJOB_COMPLETE if node.exit_code == 0 else constants.TRAINJOB_FAILED
    return constants.TRAINJOB_RUNNING if node.state in {"running", "paused"} else constants.TRAINJOB_CREATED


def _devices(job: Job, document: Document | None) -> dict[str, tuple[str, str]]:
    """Kind and count by step: what the job asks for, else the runtime's."""
    found = {}
    for step in replicated_jobs(document.raw) if document is not None else ():
        for container in containers_of(step):
            if container.get("name") in (step.get("name"), constants.NODE):
                found[str(step.get("name"))] = devices_of(container)
    own = _mapping(job.spec.get("trainer")).get("resourcesPerNode")
    if own:
        found[constants.NODE] = devices_of({"resources": own})
    return found


def _runtime(name: str, document: Document | None) -> Runtime:
    if document is None:
        return unknown_runtime(name)
    try:
        return runtime_from(document.raw)
    except ValueError:
        return unknown_runtime(name)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
