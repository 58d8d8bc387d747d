"""Which admitted jobs make room for one of higher priority (``--preempt``). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.controller.scheduler.admission_queue import AdmissionRequest, decide_admissions


def select_victims(
    request: AdmissionRequest,
    admitted: Sequence[AdmissionRequest],
    capacity: Mapping[str, float],
    *,
    max_jobs: int | None = None,
) -> tuple[str, ...]:
    """Returns the jobs of lower priority that must make room: the lowest and youngest first.

    No more than needed; none where even all of them would not do.
    """
    lower = sorted(
        (job for job in admitted if job.priority < request.priority),
        key=lambda job: (job.priority, -job.since, job.key),
    )
    for count in range(1, len(lower) + 1):
        victims = tuple(job.key for job in lower[:count])
        left = [job.amounts for job in admitted if job.key not in victims]
        if decide_admissions([request], left, capacity, max_jobs=max_jobs).admitted:
            return victims
    return ()
