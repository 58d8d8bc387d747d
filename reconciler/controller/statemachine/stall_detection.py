"""A job that has gone quiet: opt-in, by the annotation ``stall-timeout``. Pure.

No log line of any rank and no progress report for that long counts as a failure of the training step: a hung
collective has no exit code, and would hold its devices for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.common.durations import parse_duration
from reconciler.controller.statemachine.job_view import JobView
from reconciler.controller.statemachine.restart_policy import Verdict
from reconciler.engines.protocol import ContainerState
from reconciler.names import ANNOTATION_STALL_TIMEOUT
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Failure, Record

STALLED: Final = "Stalled"


def stall_timeout(plan: JobPlan) -> float | None:
    """Seconds of silence that count as a failure (``600``, ``10m``, ``1h``); None: not watched for."""
    text = plan.annotations.get(ANNOTATION_STALL_TIMEOUT, "")
    try:
        return parse_duration(text) or None if text else None
    except ValueError:
        return None


def quiet_since(view: JobView, activity: Mapping[str, float], record: Record) -> float | None:
    """When the training step was last heard of; None while it does not run as a whole."""
    running = [
        (c, activity.get(c.state.id, 0.0))
        for s, i, c in view.containers
        if i.plan.rank is not None and not s.done and c.state is not None and c.phase == "running"
    ]
    if not running:
        return None
    heard = [max(when, c.record.started_at or 0.0) for c, when in running]
    return max([*heard, record.progress_at])


def stalled(
    plan: JobPlan, view: JobView, activity: Mapping[str, float], record: Record, now: float
) -> tuple[Record, Verdict | None]:
    """The record and verdict of a stall, if this is one."""
    timeout, since = stall_timeout(plan), quiet_since(view, activity, record)
    if timeout is None or since is None or now < since + timeout:
        return record, None
    step = next(s for s, i, _ in view.containers if i.plan.rank is not None)
    first = step.pods[0]
    failure = Failure(
        attempt=record.attempt,
        step=step.plan.name,
        container=first.plan.name,
        container_id=first.primary.record.container_id,
        rank=first.plan.rank,
        reason=STALLED,
        message=f"no log line and no progress report of any rank for {timeout:g} s",
        at=now,
    )
    record = record.model_copy(update={"failure": failure})
    record = record.with_event(STALLED, f"The job is stalled: {failure.message}.", now=now, kind="Warning")
    return record, Verdict(step=step.plan.name, index=0, reason=STALLED)


def running_ranks(view: JobView) -> tuple[ContainerState, ...]:
    """The containers to ask where they stand."""
    return tuple(
        c.state
        for _, i, c in view.containers
        if i.plan.rank is not None and c.plan.primary and c.state is not None and c.phase == "running"
    )


def annotation_faults(plan: JobPlan) -> tuple[tuple[str, str], ...]:
    """What is wrong with this annotation: path and message."""
    text = plan.annotations.get(ANNOTATION_STALL_TIMEOUT, "")
    try:
        parse_duration(text or "0")
    except ValueError as error:
        return ((f"metadata.annotations[{ANNOTATION_STALL_TIMEOUT}]", f"{text!r} {error}"),)
    return ()
