"""A job that prints nothing any more: opt-in, by the annotation ``stall-timeout``. Pure.

No log line of any rank and no progress report for that long counts as a failure of the training step: a hung
collective has no exit code, and would hold its devices for ever.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.common.durations import parse_duration
from reconciler.controller.statemachine.failures.step_failure import STALLED, StepFailure
from reconciler.controller.statemachine.job_view import JobView
from reconciler.engines.protocol import ContainerState
from reconciler.names import ANNOTATION_STALL_TIMEOUT
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Failure, Record


def stall_timeout(plan: JobPlan) -> float | None:
    """Returns the seconds of silence that are a failure (``600``, ``10m``, ``1h``); None: not watched."""
    try:
        return parse_duration(plan.annotations.get(ANNOTATION_STALL_TIMEOUT, "") or "0") or None
    except ValueError:
        return None


def stall_timeout_faults(plan: JobPlan) -> tuple[tuple[str, str], ...]:
    """Returns what is wrong with the annotation, as path and message."""
    text = plan.annotations.get(ANNOTATION_STALL_TIMEOUT, "")
    try:
        parse_duration(text or "0")
    except ValueError as error:
        return ((f"metadata.annotations[{ANNOTATION_STALL_TIMEOUT}]", f"{text!r} {error}"),)
    return ()


def stall_deadline(
    plan: JobPlan, view: JobView, last_output: Mapping[str, float], record: Record
) -> float | None:
    """Returns when the silence of the training step will count as a failure; None while it does not run."""
    timeout = stall_timeout(plan)
    if timeout is None:
        return None
    heard = [
        max(last_output.get(c.state.id, 0.0), c.record.started_at or 0.0)
        for step, pod, c in view.containers
        if pod.plan.rank is not None and not step.done and c.state is not None and c.phase == "running"
    ]
    return max([*heard, record.progress_at]) + timeout if heard else None


def detect_stall(
    plan: JobPlan, view: JobView, last_output: Mapping[str, float], record: Record, now: float
) -> tuple[Record, StepFailure | None]:
    """Returns the record and the failure of the training step, if the job is stalled."""
    deadline = stall_deadline(plan, view, last_output, record)
    if deadline is None or now < deadline:
        return record, None
    step = next(s for s, pod, _ in view.containers if pod.plan.rank is not None)
    first = step.pods[0]
    failure = Failure(
        attempt=record.attempt,
        step=step.plan.name,
        container=first.plan.name,
        container_id=first.primary.record.container_id,
        rank=first.plan.rank,
        reason=STALLED,
        message=f"no log line and no progress report of any rank for {stall_timeout(plan):g} s",
        at=now,
    )
    record = record.replace(failure=failure)
    record = record.with_event(STALLED, f"The job is stalled: {failure.message}.", now=now, kind="Warning")
    return record, StepFailure(step=step.plan.name, reason=STALLED)


def running_ranks(view: JobView) -> tuple[ContainerState, ...]:
    """Returns the running primary containers of the training nodes."""
    return tuple(
        c.state
        for _, pod, c in view.containers
        if pod.plan.rank is not None and c.plan.primary and c.state is not None and c.phase == "running"
    )
