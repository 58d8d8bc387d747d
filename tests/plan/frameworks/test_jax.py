"""JAX."""

from __future__ import annotations

from tests.plan.manifests import (
    env,
    only,
    plan_of,
    rendered_env,
    runtime,
    trainjob,
)


def test_there_is_one_process_per_node() -> None:
    trainer = {"numNodes": 3, "resourcesPerNode": {"limits": {"nvidia.com/gpu": 4}}}

    got = rendered_env(plan_of(trainjob(trainer), runtime(policy={"jax": {}})), "demo-node-2")

    assert got["JAX_NUM_PROCESSES"] == "3"
    assert got["JAX_PROCESS_ID"] == "2"
    assert got["JAX_COORDINATOR_ADDRESS"] == "$(node-0.ip):29500"


def test_the_jobs_own_variables_win() -> None:
    trainer = {"env": [{"name": "JAX_COORDINATOR_ADDRESS", "value": "elsewhere:1"}]}

    got = env(only(plan_of(trainjob(trainer), runtime(policy={"jax": {}}))))

    assert got["JAX_COORDINATOR_ADDRESS"] == "elsewhere:1"
