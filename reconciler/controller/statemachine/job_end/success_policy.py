"""When a step is complete (all of its pods have succeeded), and the job (JobSet's success policy). Pure."""

from __future__ import annotations

from reconciler.controller.statemachine.attempts import finish_job
from reconciler.controller.statemachine.job_view import JobView, StepView
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record


def apply_success_policy(plan: JobPlan, view: JobView, record: Record, *, now: float) -> Record:
    """Marks steps that have succeeded, and completes the job when its success policy is met."""
    done = {s.plan.name: "succeeded" for s in view.steps if not s.done and _step_succeeded(s)}
    if done:
        record = record.replace(steps_done={**record.steps_done, **done})
    if not _job_succeeded(plan, record):
        return record
    reason, message = "AllJobsCompleted", "jobset completed successfully"
    complete = record.with_condition("Complete", "True", reason, message, now=now)
    return finish_job(complete, now=now).with_event(reason, message, now=now)


def _step_succeeded(step: StepView) -> bool:
    return sum(pod.succeeded for pod in step.pods) >= step.plan.count


def _job_succeeded(plan: JobPlan, record: Record) -> bool:
    """JobSet's success policy (``pkg/controllers/success_policy.go``)."""
    targets = plan.success_targets or tuple(s.name for s in plan.steps)
    results = [record.steps_done.get(name) == "succeeded" for name in targets]
    return any(results) if plan.success_operator == "Any" else all(results)
