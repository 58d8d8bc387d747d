"""PyTorch: ``PET_*``, processes per node, injection."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plan.manifests import (
    container,
    env,
    only,
    plan_of,
    rendered_env,
    runtime,
    step,
    trainjob,
)

PET = {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}


def test_every_node_has_its_rank_and_the_address_of_rank_0() -> None:
    plan = plan_of(trainjob({"numNodes": 2}))

    got = rendered_env(plan, "demo-node-1")
    assert {name: got[name] for name in PET} == {
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "1",
        "PET_NODE_RANK": "1",
        "PET_MASTER_ADDR": "$(node-0.ip)",
        "PET_MASTER_PORT": "29500",
    }
    assert plan.framework == "torch"
    assert only(plan).ports == (29500,)


@pytest.mark.parametrize(
    ("trainer", "processes"),
    [
        ({"numProcPerNode": 3, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 2}}}, "3"),
        ({"resourcesPerNode": {"limits": {"nvidia.com/gpu": 2, "cpu": "8"}}}, "auto"),
        ({"resourcesPerNode": {"limits": {"nvidia.com/gpu": 0, "cpu": "8"}}}, "8"),
        ({"resourcesPerNode": {"requests": {"cpu": "2"}, "limits": {"cpu": "6"}}}, "2"),
        ({"resourcesPerNode": {"requests": {"cpu": "2500m"}}}, "3"),
        ({"resourcesPerNode": {"requests": {"cpu": "0"}, "limits": {"cpu": "4"}}}, "4"),
        ({"resourcesPerNode": {"requests": {"cpu": 0}}}, "1"),
        ({"resourcesPerNode": {"limits": {"cpu": 1.0}}}, "1"),
        ({"resourcesPerNode": {"limits": {"memory": "1Gi"}}}, "1"),
        ({"resourcesPerNode": {"limits": {"nvidia.com/mig-1g.5gb": 1}}}, "1"),
        ({}, "1"),
    ],
)
def test_processes_per_node_follow_the_resources(trainer: dict[str, Any], processes: str) -> None:
    assert env(only(plan_of(trainjob(trainer))))["PET_NPROC_PER_NODE"] == processes


@pytest.mark.parametrize(
    ("policy", "trainer", "processes"),
    [
        ("auto", {}, "1"),
        ("auto", {"resourcesPerNode": {"limits": {"cpu": "3"}}}, "3"),
        ("auto", {"resourcesPerNode": {"limits": {"nvidia.com/gpu": 2}}}, "auto"),
        ("cpu", {"resourcesPerNode": {"limits": {"nvidia.com/gpu": 2, "cpu": "3"}}}, "3"),
        ("gpu", {}, "gpu"),
        (4, {"resourcesPerNode": {"limits": {"cpu": "3"}}}, "4"),
        (4, {"numProcPerNode": 2}, "2"),
    ],
)
def test_processes_per_node_of_an_older_runtime(
    policy: object, trainer: dict[str, Any], processes: str
) -> None:
    plan = plan_of(trainjob(trainer), runtime(policy={"torch": {"numProcPerNode": policy}}))

    assert env(only(plan))["PET_NPROC_PER_NODE"] == processes
    assert "newer Trainers refuse it" in dict(plan.cluster_differences)["spec.mlPolicy.torch.numProcPerNode"]


def test_only_the_jobs_own_resources_count_for_processes() -> None:
    # Upstream counts on the job's raw resources, not the merged ones.
    runtime_manifest = runtime(step("node", container(resources={"limits": {"nvidia.com/gpu": 2}})))

    plan = plan_of(trainjob({"resourcesPerNode": {"limits": {"cpu": "4"}}}), runtime_manifest)

    assert env(only(plan))["PET_NPROC_PER_NODE"] == "4"
    assert only(plan).resources.devices == {"nvidia.com/gpu": 2}


def test_the_jobs_variables_come_before_the_frameworks() -> None:
    plan = plan_of(trainjob({"env": [{"name": "A", "value": "1"}]}))

    order = [v.name for v in only(plan).env]
    assert order.index("A") < order.index("PET_NNODES")


def test_env_injection_reaches_named_containers_only() -> None:
    policy = {
        "torch": {"envInjection": {"targets": [{"jobName": "node", "containerNames": ["check", "side"]}]}}
    }
    pod = {"initContainers": [container("check"), container("plain")]}
    runtime_manifest = runtime(step("node", container(), container("side"), pod=pod), policy=policy)

    plan = plan_of(trainjob({"numNodes": 2}), runtime_manifest)

    assert rendered_env(plan, "demo-node-1-check").keys() >= PET
    assert rendered_env(plan, "demo-node-1-side")["PET_NODE_RANK"] == "1"
    assert not PET & rendered_env(plan, "demo-node-1-plain").keys()
