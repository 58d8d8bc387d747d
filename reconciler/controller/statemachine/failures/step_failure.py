"""A step that has finally failed and why, and the container that failed first. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reconciler.state.record import Failure, Record

#: batch/v1's reasons of a failed Job.
BACKOFF_LIMIT_EXCEEDED: Final = "BackoffLimitExceeded"
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
POD_FAILURE_POLICY: Final = "PodFailurePolicy"
#: This project's own: no output and no progress report for as long as the job allows.
STALLED: Final = "Stalled"


@dataclass(frozen=True, kw_only=True)
class StepFailure:
    """A step that has finally failed; ``message``: the Job's on a cluster, unless the reason implies it."""

    step: str
    reason: str
    message: str = ""


def record_first_failure(record: Record, failure: Failure) -> Record:
    """Keeps the failure unless the attempt has one already."""
    known = record.failure is not None and record.failure.attempt == record.attempt
    return record if known else record.replace(failure=failure)


def describe_first_failure(record: Record) -> str:
    """Renders the attempt's first failure: ``rank 1 (demo-node-1) failed: exit code 1``; "" without one."""
    failure = record.failure
    if failure is None or failure.attempt != record.attempt:
        return ""
    return f"{describe_container(failure)} failed: {failure.message}"


def describe_container(failure: Failure) -> str:
    """Renders which container failed: ``rank 1 (demo-node-1)``, or its name where it has no rank."""
    return f"rank {failure.rank} ({failure.container})" if failure.rank is not None else failure.container
