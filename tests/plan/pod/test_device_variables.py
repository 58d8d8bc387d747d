"""Variables by which a container runtime would give devices past the allocation."""

from __future__ import annotations

import pytest

from reconciler.plan.pod.device_variables import hide_devices, list_hidden
from tests.plan.manifests import env, only, plan_of, trainjob


@pytest.mark.parametrize("value", ["all", "0", "0,1", "GPU-8f3e", "MIG-1"])
def test_a_value_in_a_manifest_is_dropped_with_a_warning(value: str) -> None:
    plan = plan_of(trainjob({"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": value}]}))

    assert "NVIDIA_VISIBLE_DEVICES" not in env(only(plan))
    ((path, message),) = plan.warnings
    assert path.endswith(".value")
    assert "resources.limits" in message


@pytest.mark.parametrize("value", ["", "void", "none"])
def test_a_value_that_asks_for_no_device_is_no_fault(value: str) -> None:
    assert plan_of(trainjob({"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": value}]})).warnings == ()


def test_a_containers_environment_gives_no_devices() -> None:
    env = {
        "A": "1",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "HABANA_VISIBLE_DEVICES": "0",
        "CUDA_VISIBLE_DEVICES": "0",
    }

    hidden = hide_devices(env)

    assert hidden == {"A": "1", "CUDA_VISIBLE_DEVICES": "0", "NVIDIA_VISIBLE_DEVICES": "void"}
    assert [line.split()[0] for line in list_hidden(env)] == [
        "NVIDIA_VISIBLE_DEVICES",
        "HABANA_VISIBLE_DEVICES",
    ]


def test_an_engine_that_gives_gpus_by_the_variable_sets_it_itself() -> None:
    assert hide_devices({"NVIDIA_VISIBLE_DEVICES": "void"}, given_by_variable=True) == {}
