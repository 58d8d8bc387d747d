"""The plans of the runtimes under ``specs/runtimes``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plan.manifests import (
    documents,
    only,
    plan_of,
    trainjob,
)

BUILTIN = sorted((Path(__file__).parents[2] / "specs" / "runtimes").glob("*.yaml"))


@pytest.mark.parametrize("path", BUILTIN, ids=lambda path: path.stem)
def test_every_builtin_runtime_plans_without_warnings(path: Path) -> None:
    (runtime_manifest,) = documents(path)
    job = trainjob({"numNodes": 2}, runtimeRef={"name": runtime_manifest["metadata"]["name"]})

    plan = plan_of(job, runtime_manifest)

    assert plan.nodes == 2
    assert all(c.image for pod in plan.pods for c in pod.containers)
    assert not plan.warnings


def test_torch_restarts_all_ranks_together() -> None:
    (path,) = [p for p in BUILTIN if p.stem == "torch_distributed"]
    (runtime_manifest,) = documents(path)

    plan = plan_of(trainjob(), runtime_manifest)

    assert plan.max_restarts == 3
    assert (plan.step("node").restart_policy, plan.step("node").backoff_limit) == ("OnFailure", 0)


def test_deepspeed_waits_for_sshd_of_user_1000() -> None:
    (path,) = [p for p in BUILTIN if p.stem == "deepspeed_distributed"]
    (runtime_manifest,) = documents(path)

    plan = plan_of(trainjob({"numNodes": 2}), runtime_manifest)

    worker = only(plan)
    assert (worker.security.run_as_user, worker.security.fs_group) == (1000, 1000)
    assert worker.readiness is not None
    assert (worker.readiness.tcp_port, worker.readiness.initial_delay) == (2222, 5)
    assert plan.success_targets == ("launcher",)
