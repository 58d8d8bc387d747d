"""No framework."""

from __future__ import annotations

from tests.plan.manifests import (
    plan_of,
    rendered_env,
    runtime,
    trainjob,
)


def test_only_common_variables_are_added() -> None:
    plan = plan_of(trainjob({"numNodes": 2}), runtime(policy={"numNodes": 1}))

    assert plan.framework == "plain"
    assert rendered_env(plan, "demo-node-1") == {
        "MASTER_ADDR": "$(node-0.ip)",
        "MASTER_PORT": "29500",
        "RANK": "1",
        "WORLD_SIZE": "2",
        "JOB_COMPLETION_INDEX": "1",
    }
