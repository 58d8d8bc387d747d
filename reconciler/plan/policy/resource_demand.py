"""What the containers of a whole job may use at once, by their limits. Pure."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.plan.job_plan import ContainerPlan, JobPlan


def total_limit(plan: JobPlan, limit: Callable[[ContainerPlan], float | None]) -> float | None:
    """Adds up a limit of the job's pods; None where a container has none.

    Of a pod's init containers, which run alone, the largest counts.
    """
    total = 0.0
    for pod in plan.pods:
        together, alone = 0.0, 0.0
        for container in pod.containers:
            amount = limit(container)
            if amount is None:
                return None
            if container.kind == "init":
                alone = max(alone, amount)
            else:
                together += amount
        total += max(together, alone)
    return total
