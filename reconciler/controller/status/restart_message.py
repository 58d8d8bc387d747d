"""The sentence for a job that is restarted: which try of how many, when the next comes, what failed. Pure."""

from __future__ import annotations

from reconciler.controller.statemachine.failures.step_failure import describe_container
from reconciler.controller.statemachine.job_view import ContainerView, JobView, StepView
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record
from reconciler.state.timestamps import format_time


def describe_restarts(plan: JobPlan | None, view: JobView | None, record: Record) -> str:
    """Returns what is restarted now, or was, and the first failure; "" for a job that has not failed.

    Args:
        plan: of the job; None where it cannot be planned now.
        view: of the same.
        record: of the job.
    """
    failure = record.failure
    last = f"Last failure: {describe_container(failure)}: {failure.message}" if failure is not None else ""
    tries = _describe_tries(plan, view, record) if plan is not None and view is not None else ""
    return ". ".join(filter(None, (tries, last)))


def _describe_tries(plan: JobPlan, view: JobView, record: Record) -> str:
    if record.attempt_not_before and not any(c.container_id for c in record.containers.values()):
        limit = f" of {plan.max_restarts}" if plan.max_restarts is not None else ""
        number = record.counted_restarts or record.restarts
        return f"Restart {number}{limit} of the whole job at {_time(record.attempt_not_before)}"
    failed = [(step, c) for step, _, c in view.containers if c.record.failures and not step.done]
    if not failed:
        return ""
    waiting = [(step, c) for step, c in failed if c.phase == "waiting"]
    if not waiting:
        step, container = max(failed, key=lambda one: one[1].record.failures)
        return f"{container.plan.name} runs, {_count(step, container, record)}"
    # The one that comes next.
    step, container = min(waiting, key=lambda one: one[1].record.not_before)
    more = f", and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    at = _time(container.record.not_before)
    return f"{container.plan.name} starts again at {at}, {_count(step, container, record)}{more}"


def _count(step: StepView, container: ContainerView, record: Record) -> str:
    """``try 3 of 7``: of the step, whose failures count together towards its backoffLimit."""
    counted = record.step_failures.get(step.plan.name, 0)
    if not counted:  # no failure that counts: a sidecar, or one that podFailurePolicy ignores
        return f"try {container.record.failures + 1}"
    return f"try {counted + 1} of {step.plan.backoff_limit + 1}"


def _time(seconds: float) -> str:
    """To the second, as nobody waits for less."""
    return format_time(round(seconds)).replace(".000Z", "Z")
