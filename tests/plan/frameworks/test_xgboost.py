"""XGBoost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plan.manifests import (
    plan_of,
    rendered_env,
    runtime,
    trainjob,
)


@pytest.mark.parametrize(("limits", "workers"), [({}, "2"), ({"amd.com/gpu": 4}, "8"), ({"cpu": "9"}, "2")])
def test_there_is_one_worker_per_gpu(limits: dict[str, Any], workers: str) -> None:
    trainer = {"numNodes": 2, "resourcesPerNode": {"limits": limits}}

    got = rendered_env(plan_of(trainjob(trainer), runtime(policy={"xgboost": {}})), "demo-node-1")

    assert got["DMLC_NUM_WORKER"] == workers
    assert got["DMLC_TASK_ID"] == "1"
    assert (got["DMLC_TRACKER_URI"], got["DMLC_TRACKER_PORT"]) == ("$(node-0.ip)", "29500")
