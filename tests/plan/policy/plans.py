"""Plans for tests of the policy: one container in each of a number of pods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.config.policy import Policy
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, StepPlan
from reconciler.plan.policy.host_mounts import HostPaths
from reconciler.plan.policy.violations import find_violations


def plan_with(container: Mapping[str, Any] | None = None, *, nodes: int = 1, **pod: Any) -> JobPlan:
    one = ContainerPlan(
        name="j-node-0",
        container="node",
        kind="main",
        primary=True,
        **{"image": "python:3", **(container or {})},
    )
    pods = tuple(
        PodPlan(
            step="node", index=n, rank=n, name=f"j-node-{n}", hostname=f"j-node-{n}", containers=(one,), **pod
        )
        for n in range(nodes)
    )
    steps = (StepPlan(name="node", pods=pods),)
    return JobPlan(namespace="default", name="j", nodes=nodes, network="j-net", steps=steps)


def broken_rules(plan: JobPlan, **policy: Any) -> list[str]:
    """The rules of a policy that the plan breaks."""
    return [v.rule for v in find_violations(plan, Policy.model_validate(policy), HostPaths(), {})]
