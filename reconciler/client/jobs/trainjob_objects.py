"""Builds the callers' :class:`TrainJob` and :class:`Event` objects from manifest and sidecar. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reconciler.api.step_names import NODE
from reconciler.client.constants import constants
from reconciler.client.runtime_objects import (
    parse_runtime,
    replicated_jobs,
    requested_devices,
    step_containers,
    unknown_runtime,
)
from reconciler.client.types.types import Event, Runtime, Step, TrainJob
from reconciler.common.mappings import mapping_at
from reconciler.names import ANNOTATION_RUNTIME
from reconciler.state.sidecar_reader import NodeStatus
from reconciler.state.timestamps import parse_time

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.client.jobs.job_snapshots import Job

_END_STATUSES = {
    "Complete": constants.TRAINJOB_COMPLETE,
    "Failed": constants.TRAINJOB_FAILED,
    "Invalid": constants.TRAINJOB_FAILED,
}


def build_trainjob(job: Job, runtimes: Mapping[str, Document]) -> TrainJob:
    """Returns the job as it is now.

    Args:
        job: manifest and sidecar.
        runtimes: the available ones, by name.
    """
    name = requested_runtime(job)
    document = runtimes.get(name)
    runtime = _runtime(name, document)
    requested = mapping_at(job.spec, "trainer").get("numNodes")
    total = requested if isinstance(requested, int) else job.nodes_total or runtime.trainer.num_nodes
    devices = _devices_by_step(job, document)
    created = job.status.created_at if job.status is not None else None
    return TrainJob(
        name=job.name,
        runtime=runtime,
        steps=[_step(node, devices) for node in job.nodes],
        num_nodes=total,
        creation_timestamp=datetime.fromtimestamp(created or 0.0, tz=UTC),
        status=_job_status(job, total),
        phase=job.phase,
        message=job.message,
        progress=mapping_at(job.reported, "trainerStatus") or None,
    )


def requested_runtime(job: Job) -> str:
    """Returns the name of the runtime that the caller asked for, also where the job has one of its own."""
    annotations = mapping_at(job.manifest, "metadata", "annotations")
    return str(annotations.get(ANNOTATION_RUNTIME) or mapping_at(job.spec, "runtimeRef").get("name") or "")


def build_events(job: Job) -> list[Event]:
    """Returns the job's events, oldest first."""
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
    """Returns ``node-<rank>`` for a training node, the step's name for other pods."""
    return f"{NODE}-{node.rank}" if node.rank is not None else node.step or node.name


def _job_status(job: Job, total: int) -> str:
    """Upstream's status: Running once every training node runs or has succeeded."""
    if job.phase in _END_STATUSES:
        return _END_STATUSES[job.phase]
    return constants.TRAINJOB_RUNNING if 0 < total <= job.nodes_ready else constants.TRAINJOB_CREATED


def _step(node: NodeStatus, devices: Mapping[str, tuple[str, str]]) -> Step:
    device, count = devices.get(node.step, (constants.UNKNOWN, constants.UNKNOWN))
    return Step(
        name=step_name(node), status=_step_status(node), pod_name=node.name, device=device, device_count=count
    )


def _step_status(node: NodeStatus) -> str:
    """The status of a job, for one container, as upstream's container backend has it."""
    if node.state == "exited" or node.exit_code is not None:
        return constants.TRAINJOB_COMPLETE if node.exit_code == 0 else constants.TRAINJOB_FAILED
    return constants.TRAINJOB_RUNNING if node.state in {"running", "paused"} else constants.TRAINJOB_CREATED


def _devices_by_step(job: Job, document: Document | None) -> dict[str, tuple[str, str]]:
    """Kind and count by step: what the job asks for, else the runtime's."""
    found = {}
    for step in replicated_jobs(document.raw) if document is not None else ():
        for container in step_containers(step):
            if container.get("name") in (step.get("name"), NODE):
                found[str(step.get("name"))] = requested_devices(container)
    own = mapping_at(job.spec, "trainer").get("resourcesPerNode")
    if own:
        found[NODE] = requested_devices({"resources": own})
    return found


def _runtime(name: str, document: Document | None) -> Runtime:
    try:
        return parse_runtime(document.raw) if document is not None else unknown_runtime(name)
    except ValueError:
        return unknown_runtime(name)
