"""What a whole job may take of its host at once, by its limits. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Of all pods together; None where a container has no limit."""

    cpu: float | None
    memory: float | None
    devices: int


def demand(plan: JobPlan) -> Demand:
    """The limits of the job's pods added up; of init containers, which run alone, the largest."""
    return Demand(
        cpu=_total(plan, lambda c: c.resources.cpu_limit),
        memory=_total(plan, lambda c: c.resources.memory_limit),
        devices=int(_total(plan, lambda c: sum(c.resources.devices.values())) or 0),
    )


def _total(plan: JobPlan, limit: Callable[[ContainerPlan], float | None]) -> float | None:
    total = 0.0
    for pod in plan.pods:
        amount = _of_pod(pod, limit)
        if amount is None:
            return None
        total += amount
    return total


def _of_pod(pod: PodPlan, limit: Callable[[ContainerPlan], float | None]) -> float | None:
    together, alone = 0.0, 0.0
    for container in pod.containers:
        amount = limit(container)
        if amount is None:
            return None
        if container.kind == "init":
            alone = max(alone, amount)
        else:
            together += amount
    return max(together, alone)
