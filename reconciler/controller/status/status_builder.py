"""Builds the status of a job: upstream's ``TrainJobStatus`` and this project's additions. Pure.

Record, plan and observation in, plain data out. The phase is read from everything that is known, never from
the latest condition alone (kubeflow/sdk#803: a resumed job says Created for ever).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reconciler.api.faults import Fault
from reconciler.controller.statemachine.actions import ENGINE_ERROR, ENGINE_FAILING, NAME_TAKEN
from reconciler.controller.statemachine.exits import describe_exit_code
from reconciler.controller.statemachine.failures.failure_policy import LAST_LINES
from reconciler.controller.statemachine.job_view import (
    ContainerView,
    JobView,
    PodView,
    StepView,
    build_job_view,
    dependencies_met,
)
from reconciler.controller.statemachine.observation import Observed
from reconciler.controller.status.restart_message import describe_restarts
from reconciler.plan.job_plan import JobPlan
from reconciler.state.phases import TERMINATING
from reconciler.state.record import Condition, Failure, Record
from reconciler.state.record_events import EventRecord
from reconciler.state.status_documents import error_entries, status_document
from reconciler.state.timestamps import format_time

#: The conditions of an end.
_ENDS: Final = ("Failed", "Complete")
#: What a table says of a job whose end is told as soon as its logs are on disk.
_ENDED: Final = "It has ended; its logs are being completed."


@dataclass(frozen=True, kw_only=True)
class StatusContext:
    """What a status shows besides the job itself.

    Attributes:
        engine: gives the engine's name and version when the status is written; empty while none answers.
            Of the pass's beginning they would be missing where the engine answers during the pass.
        log_dir: where kept logs are; the path of each container's log is below it.
        faults: what is wrong with the manifest now.
        line_of: the line of a field in the manifest's file; 0 where that is unknown.
        source: where the manifest came from: revision and path (a git repository); empty otherwise.
        conditions: further ones, of the repository; shown until the job has ended, because the status of a
            job that has ended is not written again.
        manifest_missing: why the job goes on without its manifest (the whole folder is gone); "" where it has
            one.
        manifest_missing_since: seconds since the epoch.
        terminating_since: when the removal of what the job has began, seconds since the epoch; None: it
            stays.
    """

    engine: Callable[[], tuple[str, str]] = lambda: ("", "")
    log_dir: str = ""
    faults: Sequence[Fault] = ()
    line_of: Callable[[str], int] = lambda _path: 0
    source: Mapping[str, str] = field(default_factory=dict)
    conditions: Sequence[Mapping[str, str]] = ()
    manifest_missing: str = ""
    manifest_missing_since: float = 0.0
    terminating_since: float | None = None


def build_status(
    plan: JobPlan | None, observed: Observed | None, record: Record, context: StatusContext
) -> dict[str, Any]:
    """Builds a job's document for its sidecar; without a plan the job is Pending."""
    view = build_job_view(plan, observed, record) if plan is not None and observed is not None else None
    terminating = context.terminating_since is not None
    status: dict[str, Any] = {
        "phase": TERMINATING if terminating else _phase(plan, view, observed, record),
        "observedGeneration": record.observed_generation or record.generation,
        "attempt": record.attempt,
        "restarts": record.restarts,
    }
    if message := _message(plan, view, observed, record, context):
        status["message"] = message
    status["conditions"] = _conditions(record, context)
    if view is not None:
        status["jobsStatus"] = [_job_counts(view, step, record) for step in view.steps]
    if record.failure is not None:
        status["failure"] = _failure(record.failure)
    if record.admitted:
        status["share"] = record.share
    if record.trainer_status:
        status["trainerStatus"] = record.trainer_status
    if record.started_at is not None:
        status["startTime"] = format_time(record.started_at)
    if record.finished_at is not None and not record.end_pending:
        status["completionTime"] = format_time(record.finished_at)
    if record.rerun:
        status["rerun"] = record.rerun
    name, version = context.engine()
    if name:
        status["engine"] = {"name": name, "version": version}
    if plan is not None and view is not None:
        status["network"] = {"name": plan.network, "subnet": record.subnet}
        status["nodes"] = [_node(step, pod, record, context) for step in view.steps for pod in step.pods]
    if context.source:
        status["source"] = dict(context.source)
    status["errors"] = error_entries(context.faults)
    if record.rejected:
        path = record.rejected_path
        line = context.line_of(path)
        error = {"file": record.file, "line": line, "path": path, "message": record.rejected}
        status["errors"].append(error)
    status["events"] = [
        {"time": format_time(e.at), "type": e.type, "reason": e.reason, "message": e.message}
        | ({"count": e.count} if e.count > 1 else {})
        for e in record.events
        if not (record.end_pending and _tells_end(record, e))
    ]
    document = status_document("TrainJob", record.namespace, record.name, status, record=record)
    if context.terminating_since is not None:
        document["metadata"]["deletionTimestamp"] = format_time(context.terminating_since)
    return document


def _conditions(record: Record, context: StatusContext) -> list[dict[str, Any]]:
    """Renders the record's conditions, this project's own while they hold, and those of the repository."""
    own = () if record.finished else _guard_condition(context)
    shown = [
        {
            "type": c.type,
            "status": c.status,
            "reason": c.reason,
            "message": c.message,
            "lastTransitionTime": format_time(c.at),
        }
        for c in (*record.conditions, *_own_conditions(record), *own)
        if not (record.end_pending and c.type in _ENDS)
    ]
    return shown + [dict(c) for c in context.conditions if not record.finished]


def _tells_end(record: Record, event: EventRecord) -> bool:
    """Whether the event says how the job has ended."""
    reasons = {c.reason for c in record.conditions if c.type in _ENDS and c.status == "True"}
    return event.reason in reasons and record.finished_at is not None and event.at >= record.finished_at


def _own_conditions(record: Record) -> list[Condition]:
    """Returns this project's own conditions, which end with their cause.

    Only for what a person has to settle: where upstream has no condition (a runtime that is not there), a
    script that compares the status with upstream's finds none either.
    """
    conditions = []
    if record.rejected:
        at, message = record.rejected_at, record.rejected
        conditions.append(
            Condition(type="UpdateRefused", status="True", reason="FieldImmutable", message=message, at=at)
        )
    if record.log_problem:
        at, message = record.log_problem_since, record.log_problem
        conditions.append(
            Condition(type="DiskPressure", status="True", reason="LogWriteFailed", message=message, at=at)
        )
    problem = record.problem
    if problem is not None and not record.finished:
        kind = {NAME_TAKEN: "Blocked", ENGINE_ERROR: ENGINE_FAILING}.get(problem.reason)
        if kind is not None:
            at, message = problem.since, problem.message
            conditions.append(
                Condition(type=kind, status="True", reason=problem.reason, message=message, at=at)
            )
    return conditions


def _guard_condition(context: StatusContext) -> tuple[Condition, ...]:
    """Returns the condition of a job that goes on without its manifest."""
    if not context.manifest_missing:
        return ()
    return (
        Condition(
            type="ManifestMissing",
            status="True",
            reason="FolderGone",
            message=context.manifest_missing,
            at=context.manifest_missing_since,
        ),
    )


def _phase(plan: JobPlan | None, view: JobView | None, observed: Observed | None, record: Record) -> str:
    """Returns one word for where the job is."""
    if record.end_pending:
        return "Running"
    if record.is_true("Failed"):
        return "Failed"
    if record.is_true("Complete"):
        return "Complete"
    if record.suspended or (plan is not None and plan.suspend):
        return "Suspended"
    if record.queued:
        return "Queued"
    if view is None or observed is None:
        return "Pending"
    active = [(step, c) for step, _, c in view.containers if c.active]
    if any(_is_training(step, c) for step, c in active):
        return "Running"
    if any(image.status == "pulling" for image in observed.images.values()):
        return "Pulling"
    if active:
        return "Initializing"
    if record.restarts > 0 or record.step_restarts or any(c.failures for c in record.containers.values()):
        return "Restarting"
    if any(record.steps_done.values()):
        return "Initializing"
    return "Pending"


def _is_training(step: StepView, container: ContainerView) -> bool:
    initializer = step.plan.role.endswith("-initializer")
    return not initializer and container.plan.kind != "init"


def _message(
    plan: JobPlan | None,
    view: JobView | None,
    observed: Observed | None,
    record: Record,
    context: StatusContext,
) -> str:
    """Returns one line for a table: how the job ended, or what keeps it from going on."""
    if context.terminating_since is not None:
        return "Its manifest was removed; its containers are being stopped."
    if record.end_pending:
        reading = sorted(
            c.name
            for c in (observed.containers if observed is not None else ())
            if c.state not in {"exited", "created"} or _is_reading(observed, c.id)
        )
        return f"It has ended; its logs are being completed ({', '.join(reading)})." if reading else _ENDED
    for kind in _ENDS:
        condition = record.condition(kind)
        if condition is not None and condition.status == "True":
            return condition.message.partition(f"{LAST_LINES}\n")[0]
    if context.manifest_missing:
        return context.manifest_missing
    if record.queued:
        return record.queued
    if record.problem is not None:
        return record.problem.message
    images = observed.images.values() if observed is not None else ()
    pulls = [f"{i.image}: {i.message or 'pulling'}" for i in images if i.status == "pulling"]
    if pulls:
        return "; ".join(pulls)
    if record.suspended:
        return ""
    return describe_restarts(plan, view, record)


def _is_reading(observed: Observed | None, container: str) -> bool:
    log = observed.logs.get(container) if observed is not None else None
    return log is not None and log.progress == "reading"


def _failure(failure: Failure) -> dict[str, Any]:
    """Renders the first failure with the end of its log, so that the status shows the reason."""
    return {
        "attempt": failure.attempt,
        "step": failure.step,
        "rank": failure.rank,
        "container": failure.container,
        "exitCode": failure.code,
        "reason": failure.reason,
        "message": failure.message,
        "time": format_time(failure.at),
        "log": list(failure.log),
    }


def _job_counts(view: JobView, step: StepView, record: Record) -> dict[str, Any]:
    """Upstream's counts of Jobs (not containers): a step is one Job."""
    counts = {"ready": 0, "succeeded": 0, "failed": 0, "active": 0, "suspended": 0}
    touched = any(c.record.container_id for pod in step.pods for c in pod.containers)
    if step.done:
        counts[step.done] = 1
    elif record.finished:
        pass
    elif record.suspended or record.preempted:
        counts["suspended"] = 1
    elif step.plan.name in record.step_started and (touched or dependencies_met(view, step)):
        counts["active"] = 1
        counts["ready"] = int(step.ready)
    return {"name": step.plan.name} | counts


def _node(step: StepView, pod: PodView, record: Record, context: StatusContext) -> dict[str, Any]:
    """Renders one pod: the facts of its primary container."""
    view = pod.primary
    known = view.record
    location = record.log_location(view.plan.name)
    state = _node_state(view, record)
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
        "startedAt": format_time(known.started_at) if known.started_at else None,
        "finishedAt": format_time(result.finished_at) if result is not None else None,
        "devices": sorted(
            f"{device_class}={index}"
            for device_class, indexes in record.devices.get(pod.plan.name, {}).items()
            for index in indexes
        ),
        "restarts": known.restart,
        "log": str(location.path(Path(context.log_dir))) if context.log_dir else "",
    }
    if failed is not None and failed.record.result is not None and failed.record.result.message:
        node["message"] = failed.record.result.message
    elif result is not None and not result.succeeded:
        node["message"] = result.message or describe_exit_code(result.code)
    return node


def _node_state(view: ContainerView, record: Record) -> str:
    if view.phase in {"succeeded", "failed"}:
        return "exited"
    if view.phase == "waiting":
        ended = record.finished or record.suspended
        return "restarting" if view.record.failures and not ended else "pending"
    return view.phase
