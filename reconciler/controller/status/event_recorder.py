"""What is said of a job once, as an event: fields without meaning, the policy, progress. Pure.

The record keeps what has been said, so that neither the next pass nor the next daemon says it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reconciler.controller.statemachine.observation import Refusal
from reconciler.controller.statemachine.stall_detection import annotation_faults
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record


def ignored_fields(record: Record, plan: JobPlan, *, now: float) -> Record:
    """Fields without meaning on one host: said once per job, never silently dropped."""
    for path, message in (*plan.warnings, *annotation_faults(plan)):
        if path not in record.warned:
            record = _said(record, path).with_event(
                "FieldIgnored", f"{path}: {message}", now=now, kind="Warning"
            )
    return record


def policy_in_force(
    record: Record, refusal: Refusal, *, notes: Callable[[], Iterable[str]], now: float
) -> Record:
    """What the policy makes of mounts, and that it has become stricter than a job that runs: once.

    Args:
        record: of the job.
        refusal: what the policy has against it.
        notes: what it makes of the job's mounts; asked where it has nothing against it.
        now: by which the record counts.
    """
    if record.finished:
        return record
    for sentence in notes() if not refusal.message else ():
        if sentence not in record.warned:
            record = _said(record, sentence).with_event("ReadOnly", sentence, now=now)
    key = f"policy:{refusal.digest}"
    if refusal.message and record.started_at is not None and key not in record.warned:
        message = (
            f"The policy in force refuses this job; what runs of it is left alone, nothing of it "
            f"is started again: {refusal.message}"
        )
        record = _said(record, key).with_event("PolicyChanged", message, now=now, kind="Warning")
    return record


def unheard(record: Record, why: str, *, now: float) -> Record:
    """Why the daemon cannot hear of the training's progress: told once a job for each reason."""
    if not why or why in record.warned:
        return record
    return _said(record, why).with_event("ProgressUnavailable", why, now=now, kind="Warning")


def _said(record: Record, what: str) -> Record:
    return record.model_copy(update={"warned": (*record.warned, what)})
