"""``activeDeadlineSeconds`` of the job and of its steps. Pure."""

from __future__ import annotations

from reconciler.controller.statemachine.failures.step_failure import DEADLINE_EXCEEDED, StepFailure
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record


def job_deadline(plan: JobPlan, record: Record) -> float | None:
    """Returns when the job has to have ended, counted from its creation or last resume."""
    return record.clock_from + plan.active_deadline if plan.active_deadline is not None else None


def expired_step(plan: JobPlan, record: Record, now: float) -> StepFailure | None:
    """Returns the failure of the first step whose own deadline has passed."""
    for name, deadline in _step_deadlines(plan, record).items():
        if now >= deadline:
            return StepFailure(step=name, reason=DEADLINE_EXCEEDED)
    return None


def next_deadline(plan: JobPlan, record: Record) -> float | None:
    """Returns the earliest deadline of the job and its steps."""
    deadlines = [job_deadline(plan, record), *_step_deadlines(plan, record).values()]
    return min((d for d in deadlines if d is not None), default=None)


def _step_deadlines(plan: JobPlan, record: Record) -> dict[str, float]:
    """Deadlines of the steps that have started and not ended, counted from their start."""
    return {
        step.name: record.step_started[step.name] + step.active_deadline
        for step in plan.steps
        if step.active_deadline is not None
        and step.name in record.step_started
        and step.name not in record.steps_done
    }
