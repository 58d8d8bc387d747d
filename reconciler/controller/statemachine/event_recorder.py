"""Events that a job gets once: ignored fields, the policy's effects, missing progress reports. Pure.

``Record.warned`` keeps their keys, so that neither the next pass nor the next daemon repeats them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reconciler.controller.statemachine.observation import PolicyRefusal
from reconciler.state.record import Record


def record_once(record: Record, key: str, reason: str, message: str, *, now: float, kind: str) -> Record:
    """Records an event unless ``key`` was recorded before."""
    if key in record.warned:
        return record
    record = record.replace(warned=(*record.warned, key))
    return record.with_event(reason, message, now=now, kind=kind)


def record_ignored_fields(record: Record, warnings: Iterable[tuple[str, str]], *, now: float) -> Record:
    """Records fields that have no effect on one host (path and message), so that none is dropped silently."""
    for path, message in warnings:
        record = record_once(record, path, "FieldIgnored", f"{path}: {message}", now=now, kind="Warning")
    return record


def record_cluster_differences(
    record: Record, differences: Iterable[tuple[str, str]], *, now: float
) -> Record:
    """Records what a cluster would read otherwise (path and message), so that moving there is no surprise."""
    for path, message in differences:
        text = f"{path}: {message}"
        record = record_once(record, f"cluster:{path}", "ClusterDiffers", text, now=now, kind="Warning")
    return record


def record_policy_effects(
    record: Record, refusal: PolicyRefusal, *, notes: Callable[[], Iterable[str]], now: float
) -> Record:
    """Records which mounts the policy makes read-only, and that it now refuses a job that has started.

    Args:
        record: of the job.
        refusal: what the policy has against it.
        notes: sentences about the job's mounts; called when the policy has nothing against the job.
        now: by which the record counts.
    """
    if record.finished:
        return record
    for sentence in notes() if not refusal.message else ():
        record = record_once(record, sentence, "ReadOnly", sentence, now=now, kind="Normal")
    if not refusal.message or record.started_at is None:
        return record
    message = (
        f"The policy in force refuses this job; what runs of it is left alone, nothing of it "
        f"is started again: {refusal.message}"
    )
    key = f"policy:{refusal.digest}"
    return record_once(record, key, "PolicyChanged", message, now=now, kind="Warning")


def record_progress_unavailable(record: Record, why: str, *, now: float) -> Record:
    """Records why the daemon cannot receive the training's progress; ``why`` is "" when it can."""
    return record_once(record, why, "ProgressUnavailable", why, now=now, kind="Warning") if why else record
