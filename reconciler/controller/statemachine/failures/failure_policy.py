"""JobSet's failure policy: a failed step restarts the gang or itself, or fails the job. Pure.

After kubernetes-sigs/jobset ``pkg/controllers/failure_policy.go``. Also jobs that the policy refuses.
"""

from __future__ import annotations

import re
from typing import Final

from reconciler.controller.statemachine.attempts import (
    GANG_BACKOFF,
    backoff,
    finish_job,
    reset_container,
    restart_gang,
)
from reconciler.controller.statemachine.failures.step_failure import (
    BACKOFF_LIMIT_EXCEEDED,
    DEADLINE_EXCEEDED,
    StepFailure,
    describe_first_failure,
)
from reconciler.controller.statemachine.observation import PolicyRefusal
from reconciler.plan.job_plan import FailureRule, JobPlan, StepPlan
from reconciler.plan.policy.violations import POLICY_VIOLATION
from reconciler.state.record import Record

#: batch/v1's messages of a failed Job, which ``onJobFailureMessagePatterns`` are matched with.
JOB_MESSAGES: Final = {
    BACKOFF_LIMIT_EXCEEDED: "Job has reached the specified backoff limit",
    DEADLINE_EXCEEDED: "Job was active longer than specified deadline",
}
#: Of a failure's last log lines, how many the Failed condition repeats, and how many characters of each.
LINES_SHOWN: Final = 5
LINE_LENGTH: Final = 300
#: Between the condition's message and those lines.
LAST_LINES: Final = "; its last lines:"


def apply_failure_policy(plan: JobPlan, record: Record, failure: StepFailure, *, now: float) -> Record:
    """Restarts the gang or the failed step, or fails the job for good."""
    record = record.replace(steps_done={**record.steps_done, failure.step: "failed"})
    first = f"(first failed job: {plan.name}-{failure.step}-0)"
    if plan.max_restarts is None:
        message = f"jobset failed due to one or more job failures {first}"
        return fail_job(record, "FailedJobs", message, now=now)
    rule = _matching_rule(plan.failure_rules, failure)
    action = rule.action if rule is not None else "RestartJobSet"
    if action in {"FailJobSet", "FailJob"}:
        message = f"applying FailJobSet failure policy action {first}"
        return fail_job(record, "FailJobSetFailurePolicyAction", message, now=now)
    alone = action.startswith("RestartJob") and not action.startswith("RestartJobSet")
    counted = not action.endswith("AndIgnoreMaxRestarts")
    so_far = max(record.counted_restarts, record.counted_step_restarts.get(failure.step, 0) if alone else 0)
    if counted and so_far >= plan.max_restarts:
        message = f"jobset failed due to reaching max number of restarts {first}"
        return fail_job(record, "ReachedMaxRestarts", message, now=now)
    why = f"{describe_first_failure(record) or f'step {failure.step} failed: {failure.reason}'}."
    if alone:
        return _restart_step(plan.step(failure.step), record, now=now, counted=counted, why=why)
    return restart_gang(record, now=now, counted=counted, why=why)


def _matching_rule(rules: tuple[FailureRule, ...], failure: StepFailure) -> FailureRule | None:
    """Returns the first rule that matches the failure, as JobSet does."""
    message = failure.message or JOB_MESSAGES.get(failure.reason, failure.reason)
    for rule in rules:
        for_step = not rule.targets or failure.step in rule.targets
        for_reason = not rule.reasons or failure.reason in rule.reasons
        for_message = not rule.patterns or any(re.search(pattern, message) for pattern in rule.patterns)
        if for_step and for_reason and for_message:
            return rule
    return None


def _restart_step(step: StepPlan, record: Record, *, now: float, counted: bool, why: str) -> Record:
    """JobSet's ``RestartJob``: recreates the failed job alone, the others run on.

    It is counted by step; the whole job's restarts and attempt stay as they are.
    """
    restarts = record.step_restarts.get(step.name, 0) + 1
    towards_max = record.counted_step_restarts.get(step.name, 0) + (1 if counted else 0)
    not_before = now + backoff(restarts, base=GANG_BACKOFF)
    for pod in step.pods:
        for container in pod.containers:
            record = reset_container(record, container.name, not_before=not_before)
    changed = record.replace(
        step_restarts={**record.step_restarts, step.name: restarts},
        counted_step_restarts={**record.counted_step_restarts, step.name: towards_max},
        steps_done={s: d for s, d in record.steps_done.items() if s != step.name},
        step_failures={s: n for s, n in record.step_failures.items() if s != step.name},
        step_started={s: t for s, t in record.step_started.items() if s != step.name},
    )
    return changed.with_event("Restarting", f"{why} Step {step.name} starts again.", now=now, kind="Warning")


def fail_job(record: Record, reason: str, message: str, *, now: float) -> Record:
    """Fails the job for good; the message names the container that failed first, unless time ran out."""
    failure = record.failure
    if failure is not None and failure.attempt == record.attempt and reason != DEADLINE_EXCEEDED:
        who = f"rank {failure.rank} " if failure.rank is not None else ""
        message = f"{message}: {who}{failure.container}: {failure.message}"
    failed = record.with_condition("Failed", "True", reason, message, now=now)
    return finish_job(failed, now=now).with_event(reason, message, now=now, kind="Warning")


def add_log_tail(record: Record, lines: tuple[str, ...]) -> Record:
    """Adds what the first failed container printed last to the failure and to the Failed condition."""
    failure, failed = record.failure, record.condition("Failed")
    if failure is None:
        return record
    if failure.log != lines:
        record = record.replace(failure=failure.replace(log=lines))
    shown = [line[:LINE_LENGTH] for line in lines[-LINES_SHOWN:] if line.strip()]
    if failed is None or not shown or LAST_LINES in failed.message:
        return record
    if not failed.message.endswith(failure.message):
        return record
    message = "\n".join([f"{failed.message}{LAST_LINES}", *shown])
    return record.with_condition("Failed", failed.status, failed.reason, message, now=failed.at)


def refuse_job(record: Record, refusal: PolicyRefusal, *, now: float) -> Record:
    """Fails a job that the policy refuses; before its start, until its manifest or the policy changes."""
    failed = record.with_condition("Failed", "True", POLICY_VIOLATION, refusal.message, now=now)
    failed = finish_job(failed, now=now).replace(refused_under=refusal.digest)
    return failed.with_event(POLICY_VIOLATION, refusal.message, now=now, kind="Warning")


def is_refused_before_start(record: Record) -> bool:
    """Whether the policy has refused the job before anything of it ran."""
    failed = record.condition("Failed")
    refused = failed is not None and failed.status == "True" and failed.reason == POLICY_VIOLATION
    return refused and record.started_at is None
