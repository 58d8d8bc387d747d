"""Suspension, preemption and the way back: a job that must not run now keeps what it has completed. Pure."""

from __future__ import annotations

from typing import Final

from reconciler.controller.statemachine.attempts import next_attempt
from reconciler.controller.statemachine.observation import Observed
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record

#: Of a job that is stopped with the daemon (``--stop-jobs-on-exit``).
STOPPED_MESSAGE: Final = (
    "The reconciler was stopped, and its jobs with it; the job goes on when it starts again."
)


def apply_suspension(plan: JobPlan, record: Record, now: float) -> Record:
    """Upstream's ``setSuspendedCondition``: True while suspended, False (Resumed) after, else absent."""
    if plan.suspend and not record.suspended:
        message = "TrainJob is suspended"
        record = _give_up_attempt(record).replace(
            suspended=True, preempted=False, admitted=False, queued="", problem=None
        )
        record = record.with_condition("Suspended", "True", "Suspended", message, now=now)
        return record.with_event("Suspended", message, now=now)
    if not plan.suspend and record.suspended:
        return _resume(record.replace(suspended=False, clock_from=now), now)
    return record


def apply_preemption(observed: Observed, record: Record, now: float) -> Record:
    """Makes room for a job of higher priority; goes on, as after a suspension, when admitted again."""
    if observed.preempted_by and record.admitted:
        message = f"TrainJob is suspended to make room for {observed.preempted_by}"
        record = _give_up_attempt(record).replace(preempted=True, admitted=False, queued=message)
        record = record.with_condition("Suspended", "True", "Preempted", message, now=now)
        return record.with_event("Preempted", message, now=now, kind="Warning")
    if record.preempted and record.admitted:
        return _resume(record.replace(preempted=False, clock_from=now, queued=""), now)
    return record


def suspend_until_next_start(record: Record, now: float) -> Record:
    """Lets the job wait for the next daemon, which admits it again, as after a preemption."""
    record = next_attempt(record, keep_succeeded=True).replace(
        preempted=True, admitted=False, queued=STOPPED_MESSAGE
    )
    record = record.with_condition("Suspended", "True", "Stopped", STOPPED_MESSAGE, now=now)
    return record.with_event("Stopped", STOPPED_MESSAGE, now=now)


def _give_up_attempt(record: Record) -> Record:
    return next_attempt(record, keep_succeeded=True) if record.started_at is not None else record


def _resume(record: Record, now: float) -> Record:
    message = "TrainJob is resumed"
    record = record.with_condition("Suspended", "False", "Resumed", message, now=now)
    return record.with_event("Resumed", message, now=now)
