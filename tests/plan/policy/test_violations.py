"""What the policy refuses of pods and of a job as a whole."""

from __future__ import annotations

from reconciler.plan.job_plan import ResourcePlan
from tests.plan.policy.plans import broken_rules, plan_with


def test_namespaces_of_the_host_are_denied_by_default() -> None:
    plan = plan_with(host_network=True, host_pid=True, host_ipc=True)

    assert broken_rules(plan) == ["policy.hostNetwork", "policy.hostPID", "policy.hostIPC"]
    assert broken_rules(plan, hostNetwork=True, hostPID=True, hostIPC=True) == []


def test_a_maximum_applies_to_the_whole_job_and_needs_limits() -> None:
    limited = {"resources": ResourcePlan(cpu_limit=2, memory_limit=1024, devices={"nvidia.com/gpu": 1})}
    most = {"nodes": 2, "cpu": "4", "memory": "2Ki", "gpus": 2}

    assert broken_rules(plan_with(limited, nodes=2), maximum=most) == []
    assert broken_rules(plan_with(limited, nodes=3), maximum=most) == [
        f"policy.maximum.{rule}" for rule in ("nodes", "gpus", "cpu", "memory")
    ]
    assert broken_rules(plan_with(nodes=1), maximum={"memory": "1Gi"}) == ["policy.maximum.memory"]
