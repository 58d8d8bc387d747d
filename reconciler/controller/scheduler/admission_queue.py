"""The admission queue: which of the jobs that wait may start, by what the host has. Pure.

All-or-nothing. Jobs get their turn by priority, then by age. A later job may pass an earlier one only where
that cannot delay it: what an earlier job needs stays reserved, and what it lacks is not touched.

Devices and memory are hard limits. CPUs are time: a job that requests more of them than the host has could
never start on a cluster of this one machine, but runs here, alone among those that request any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.controller.scheduler.resources import CPU, describe_shortage, is_device


@dataclass(frozen=True, kw_only=True)
class AdmissionRequest:
    """What one job requests of the host, or holds once it is admitted.

    Attributes:
        key: ``namespace/name``.
        amounts: ``cpu`` (CPUs), ``memory`` (bytes) and device classes (count); zeros left out.
        priority: the higher goes first.
        since: creation of the job, seconds since the epoch; the older goes first.
    """

    key: str
    amounts: Mapping[str, float] = field(default_factory=dict)
    priority: int = 0
    since: float = 0.0


@dataclass(frozen=True, kw_only=True)
class AdmissionDecision:
    """Keys that may start, in order; and for the others why they wait."""

    admitted: tuple[str, ...]
    waiting: Mapping[str, str]


def decide_admissions(
    requests: Iterable[AdmissionRequest],
    held: Sequence[Mapping[str, float]],
    capacity: Mapping[str, float],
    *,
    max_jobs: int | None = None,
) -> AdmissionDecision:
    """Decides for every waiting job at once.

    Args:
        requests: of the jobs that wait, in any order.
        held: amounts of the admitted jobs.
        capacity: of the host; a resource it does not name is unlimited if it is cpu or memory, else none.
        max_jobs: how many jobs may be admitted at once.
    """
    queue = sorted(requests, key=lambda r: (-r.priority, r.since, r.key))
    resources = {resource for request in queue for resource in request.amounts} | {CPU}
    total = {r: capacity.get(r) or (0.0 if is_device(r) else float("inf")) for r in resources}
    free = {r: total[r] - sum(h.get(r, 0) for h in held) for r in resources}
    reserved = dict.fromkeys(resources, 0.0)
    places = None if max_jobs is None else max_jobs - len(held)
    admitted: list[str] = []
    waiting: dict[str, str] = {}
    cpu_in_use = any(h.get(CPU) for h in held)
    for request in queue:
        alone = request.amounts.get(CPU, 0) > total[CPU] and not cpu_in_use and not reserved[CPU]
        short = [
            resource
            for resource, amount in request.amounts.items()
            if amount > free[resource] - reserved[resource] and not (resource == CPU and alone)
        ]
        if not short and (places is None or places > 0):
            admitted.append(request.key)
            cpu_in_use = cpu_in_use or bool(request.amounts.get(CPU))
            places = None if places is None else places - 1
            for resource, amount in request.amounts.items():
                free[resource] -= amount
            continue
        missing = ", ".join(
            describe_shortage(r, request.amounts[r], free=free[r], total=total[r]) for r in short
        )
        missing = missing or f"one of {max_jobs} places for jobs"
        waiting[request.key] = f"Waits for {missing}; position {len(waiting) + 1} in the queue."
        for resource, amount in request.amounts.items():
            reserved[resource] += amount
        # A job that waits only for a place keeps it: none behind it may take the next one either.
        places = None if places is None else (0 if not short else places - 1)
    return AdmissionDecision(admitted=tuple(admitted), waiting=waiting)
