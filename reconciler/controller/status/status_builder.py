"""The status of a job as its sidecar shows it: upstream's ``TrainJobStatus`` and this project's additions.

Pure: record, plan and listing in, plain data out. The phase is read from everything that is known, never from
the latest condition alone (kubeflow/sdk#803: a resumed job said Created for ever).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.api.faults import Fault
from reconciler.controller.statemachine.actions import NAME_TAKEN
from reconciler.controller.statemachine.exits import describe_code
from reconciler.controller.statemachine.job_view import (
    ContainerView,
    JobView,
    PodView,
    StepView,
    may_start,
    view_job,
)
from reconciler.controller.statemachine.observation import Observed
from reconciler.names import API_VERSION, RUNTIME_NOT_SUPPORTED
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Condition, Failure, Record


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a status says beside the job itself.

    Attributes:
        engine: name and version; empty while none answers.
        log_dir: where kept logs are; the path of each container's log is below it.
        faults: what is wrong with the manifest now.
        source: where the manifest came from: revision and path (a git repository); empty otherwise.
        conditions: further ones, which are not the job's own (of the repository); for one that goes on,
            because the status of one that has ended is not told anew.
    """

    engine: tuple[str, str] = ("", "")
    log_dir: str = ""
    faults: Sequence[Fault] = ()
    source: Mapping[str, str] = field(default_factory=dict)
    conditions: Sequence[Mapping[str, str]] = ()


def present(
    plan: JobPlan | None, observed: Observed | None, record: Record, around: Surroundings
) -> dict[str, Any]:
    """A job's document for its sidecar."""
    view = view_job(plan, observed, record) if plan is not None and observed is not None else None
    status: dict[str, Any] = {
        "phase": phase_of(plan, view, observed, record),
        "observedGeneration": record.observed_generation or record.generation,
        "attempt": record.attempt,
        "restarts": record.restarts,
    }
    if message := _message(observed, record):
        status["message"] = message
    status["conditions"] = [
        {
            "type": c.type,
            "status": c.status,
            "reason": c.reason,
            "message": c.message,
            "lastTransitionTime": stamp(c.at),
        }
        for c in (*record.conditions, *_standing(record))
    ] + [dict(c) for c in around.conditions if not record.finished]
    if plan is not None and view is not None:
        status["jobsStatus"] = [_counts(view, n, record) for n in range(len(view.steps))]
    if record.failure is not None:
        status["failure"] = _failure(record.failure)
    if record.admitted:
        status["share"] = record.share
    if record.trainer_status:
        status["trainerStatus"] = record.trainer_status
    status |= _times(record)
    if record.rerun:
        status["rerun"] = record.rerun
    if around.engine[0]:
        status["engine"] = {"name": around.engine[0], "version": around.engine[1]}
    if plan is not None and view is not None:
        status["network"] = {"name": plan.network, "subnet": record.subnet}
        status["nodes"] = [_node(step, pod, record, around) for step in view.steps for pod in step.pods]
    if around.source:
        status["source"] = dict(around.source)
    status["errors"] = [
        {"file": f.file, "line": f.line, "path": f.path, "message": f.message} for f in around.faults
    ] + ([_rejected(record)] if record.rejected else [])
    status["events"] = [
        {"time": stamp(e.at), "type": e.type, "reason": e.reason, "message": e.message}
        | ({"count": e.count} if e.count > 1 else {})
        for e in record.events
    ]
    return document("TrainJob", record.namespace, record.name, status, record=record)


def _standing(record: Record) -> list[Condition]:
    """This project's own conditions: there while they hold, and gone with what they tell of.

    No more than what only a person can settle: where upstream has no condition (a runtime that is not there),
    a script that holds the status against upstream's finds none either.
    """
    told = []
    if record.rejected:
        at, message = record.rejected_at, record.rejected
        told.append(
            Condition(type="UpdateRefused", status="True", reason="FieldImmutable", message=message, at=at)
        )
    problem = record.problem
    if problem is not None and problem.reason == NAME_TAKEN and not record.finished:
        at, message = problem.since, problem.message
        told.append(Condition(type="Blocked", status="True", reason=problem.reason, message=message, at=at))
    return told


def _rejected(record: Record) -> dict[str, Any]:
    """A refused change, as a fault of the manifest."""
    return {"file": record.file, "line": 0, "path": record.rejected_path, "message": record.rejected}


def document(
    kind: str, namespace: str, name: str, status: dict[str, Any], *, record: Record | None = None
) -> dict[str, Any]:
    """A sidecar's document around a status."""
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if record is not None:
        metadata |= {
            "uid": record.uid,
            "generation": record.generation,
            "creationTimestamp": stamp(record.created_at),
        }
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": status}


def waiting(kind: str, namespace: str, name: str) -> dict[str, Any]:
    """The document of an object of which nothing is known yet."""
    return document(kind, namespace, name, {"phase": "Pending", "message": "", "conditions": []})


def invalid(
    kind: str, namespace: str, name: str, faults: Sequence[Fault], *, now: float = 0.0
) -> dict[str, Any]:
    """The document of an object that cannot be used as it is.

    A job whose runtime is of a kind that nobody runs has upstream's Failed condition
    (``TrainingRuntimeNotSupported``, pkg/controller/trainjob_controller.go); other faults never get past
    upstream's admission, so they have none.
    """
    unsupported = [f for f in faults if f.reason == RUNTIME_NOT_SUPPORTED]
    status: dict[str, Any] = {
        "phase": "Invalid",
        "message": faults[0].message if faults else "",
        "conditions": [
            {
                "type": "Failed",
                "status": "True",
                "reason": RUNTIME_NOT_SUPPORTED,
                "message": f.message,
                "lastTransitionTime": stamp(now),
            }
            for f in unsupported[:1]
        ],
        "errors": [{"file": f.file, "line": f.line, "path": f.path, "message": f.message} for f in faults],
        "events": [],
    }
    return document(kind, namespace, name, status)


def stamp(at: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def phase_of(plan: JobPlan | None, view: JobView | None, observed: Observed | None, record: Record) -> str:
    """One word for where the job is."""
    if record.is_true("Failed"):
        return "Failed"
    if record.is_true("Complete"):
        return "Complete"
    if record.suspended or (plan is not None and plan.suspend):
        return "Suspended"
    if record.queued:
        return "Queued"
    if plan is None or view is None or observed is None:
        return "Pending"
    if any(c.phase in {"running", "paused"} for s, _, c in view.containers if _is_training(s, c)):
        return "Running"
    if any(image.status == "pulling" for image in observed.images.values()):
        return "Pulling"
    if any(c.phase in {"running", "paused"} for _, _, c in view.containers):
        return "Initializing"
    if record.restarts > 0 or record.step_restarts or any(c.failures for c in record.containers.values()):
        return "Restarting"
    if any(record.steps_done.values()):
        return "Initializing"
    return "Pending"


def _is_training(step: StepView, container: ContainerView) -> bool:
    initializer = step.plan.role.endswith("-initializer")
    return not initializer and container.plan.kind != "init"


def _message(observed: Observed | None, record: Record) -> str:
    """One line for a table: the end, or what keeps the job from going on."""
    for kind in ("Failed", "Complete"):
        condition = record.condition(kind)
        if condition is not None and condition.status == "True":
            return condition.message.partition("; its last lines:\n")[0]
    if record.queued:
        return record.queued
    if record.problem is not None:
        return record.problem.message
    images = observed.images.values() if observed is not None else ()
    pulls = [f"{i.image}: {i.message or 'pulling'}" for i in images if i.status == "pulling"]
    if pulls:
        return "; ".join(pulls)
    failure = record.failure
    if failure is not None and not record.suspended:
        return f"Last failure: {_who(failure)}: {failure.message}"
    return ""


def _who(failure: Failure) -> str:
    return f"rank {failure.rank} ({failure.container})" if failure.rank is not None else failure.container


def _failure(failure: Failure) -> dict[str, Any]:
    """Who failed first, and its last words: nobody should need to open a log to know why."""
    return {
        "attempt": failure.attempt,
        "step": failure.step,
        "rank": failure.rank,
        "container": failure.container,
        "exitCode": failure.code,
        "reason": failure.reason,
        "message": failure.message,
        "time": stamp(failure.at),
        "log": list(failure.log),
    }


def _counts(view: JobView, position: int, record: Record) -> dict[str, Any]:
    """Upstream's counts of jobs (not containers): a step is one job."""
    step = view.steps[position]
    counts = {"ready": 0, "succeeded": 0, "failed": 0, "active": 0, "suspended": 0}
    if step.done:
        counts[step.done] = 1
    elif record.finished:
        pass
    elif record.suspended or record.preempted:
        counts["suspended"] = 1
    elif step.plan.name in record.step_started and (may_start(view, position) or _touched(step)):
        counts["active"] = 1
        counts["ready"] = int(step.ready)
    return {"name": step.plan.name} | counts


def _touched(step: StepView) -> bool:
    return any(c.record.container_id for i in step.pods for c in i.containers)


def _times(record: Record) -> dict[str, str]:
    times = {}
    if record.started_at is not None:
        times["startTime"] = stamp(record.started_at)
    if record.finished_at is not None:
        times["completionTime"] = stamp(record.finished_at)
    return times


def _node(step: StepView, pod: PodView, record: Record, around: Surroundings) -> dict[str, Any]:
    """Facts of one pod: those of its primary container."""
    view = pod.primary
    known = view.record
    state = _state(view, record)
    # While it runs again, how it ended before is history: that is for `failure` and the events.
    result = known.result or (known.last_result if state not in {"running", "paused"} else None)
    failed = next((c for c in pod.containers if c.phase == "failed"), None)
    node: dict[str, Any] = {
        "rank": pod.plan.rank,
        "step": step.plan.name,
        "name": pod.plan.name,
        "containerID": known.container_id,
        "ip": known.ip,
        "state": state,
        "exitCode": result.code if result is not None else None,
        "startedAt": stamp(known.started_at) if known.started_at else None,
        "finishedAt": stamp(result.finished_at) if result is not None else None,
        "devices": sorted(
            f"{kind}={index}"
            for kind, indexes in record.devices.get(pod.plan.name, {}).items()
            for index in indexes
        ),
        "restarts": known.restart,
        "log": _log_path(record, view.plan.name, around),
    }
    if failed is not None and failed.record.result is not None and failed.record.result.message:
        node["message"] = failed.record.result.message
    elif result is not None and not result.succeeded:
        node["message"] = result.message or describe_code(result.code)
    return node


def _state(view: ContainerView, record: Record) -> str:
    if view.phase in {"succeeded", "failed"}:
        return "exited"
    if view.phase == "waiting":
        ended = record.finished or record.suspended
        return "restarting" if view.record.failures and not ended else "pending"
    return view.phase


def _log_path(record: Record, container: str, around: Surroundings) -> str:
    if not around.log_dir:
        return ""
    return f"{around.log_dir}/{record.namespace}/{record.name}/{record.attempt}/{container}.log"
