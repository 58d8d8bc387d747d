"""The resources that a whole job may use at once, by its limits. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan

_Limit = Callable[[ContainerPlan], float | None]


@dataclass(frozen=True, kw_only=True)
class ResourceDemand:
    """Limits of all pods together; None where a container has no limit."""

    cpu: float | None
    memory: float | None
    devices: int


def total_demand(plan: JobPlan) -> ResourceDemand:
    """Adds up the limits of the job's pods; of init containers, which run alone, the largest counts."""
    return ResourceDemand(
        cpu=_total(plan, lambda c: c.resources.cpu_limit),
        memory=_total(plan, lambda c: c.resources.memory_limit),
        devices=int(_total(plan, lambda c: sum(c.resources.devices.values())) or 0),
    )


def _total(plan: JobPlan, limit: _Limit) -> float | None:
    total = 0.0
    for pod in plan.pods:
        amount = _pod_total(pod, limit)
        if amount is None:
            return None
        total += amount
    return total


def _pod_total(pod: PodPlan, limit: _Limit) -> float | None:
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
