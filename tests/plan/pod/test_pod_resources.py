"""Requests, limits and devices."""

from __future__ import annotations

from typing import Any

from tests.plan.manifests import (
    container,
    only,
    plan_of,
    runtime,
    step,
    trainjob,
)


def with_node(**fields: Any) -> dict[str, Any]:
    return runtime(step("node", container(**fields)))


def test_resources_of_job_and_runtime_merge_key_by_key() -> None:
    runtime_manifest = with_node(resources={"requests": {"cpu": "1", "memory": "4Gi"}})

    plan = plan_of(
        trainjob({"resourcesPerNode": {"limits": {"cpu": "1500m", "amd.com/gpu": 2}}}), runtime_manifest
    )

    got = only(plan).resources
    assert (got.cpu_request, got.cpu_limit, got.memory_request, got.memory_limit) == (
        1,
        1.5,
        4 * 2**30,
        None,
    )
    assert got.devices == {"amd.com/gpu": 2}


def test_a_limit_stands_for_a_missing_request() -> None:
    got = only(plan_of(trainjob({"resourcesPerNode": {"limits": {"cpu": "2", "memory": "1Gi"}}}))).resources

    assert (got.cpu_request, got.memory_request) == (2, 2**30)


def test_hugepages_and_ephemeral_storage_are_no_devices() -> None:
    limits = {"hugepages-2Mi": "4Mi", "ephemeral-storage": "1Gi", "nvidia.com/mig-1g.5gb": 1}

    assert only(plan_of(trainjob({"resourcesPerNode": {"limits": limits}}))).resources.devices == {
        "nvidia.com/mig-1g.5gb": 1
    }
