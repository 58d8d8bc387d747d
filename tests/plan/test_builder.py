"""What the builder checks, and the order in which it applies manifests."""

from __future__ import annotations

import pytest

from reconciler.errors import PlanError
from tests.plan.manifests import (
    container,
    only,
    patch,
    plan_of,
    runtime,
    step,
    trainjob,
)


def test_a_patch_of_the_node_and_the_jobs_command_both_apply() -> None:
    plan = plan_of(
        trainjob(
            {"command": ["mine"]},
            runtimePatches=[patch(containers=[{"name": "node", "securityContext": {"runAsUser": 5}}])],
        )
    )

    assert only(plan).command == ("mine",)
    assert only(plan).security.run_as_user == 5


def test_two_containers_of_one_name_are_an_error() -> None:
    runtime_manifest = runtime(
        step("a", container("a"), container("b")), step("a-b", container("x")), step("node")
    )

    with pytest.raises(PlanError, match="would both be the container 'demo-a-b'"):
        plan_of(trainjob(), runtime_manifest)


def test_a_runtime_without_replicated_jobs_is_an_error() -> None:
    runtime_manifest = runtime()
    runtime_manifest["spec"]["template"]["spec"]["replicatedJobs"] = []

    with pytest.raises(PlanError, match="has no replicated jobs"):
        plan_of(trainjob(), runtime_manifest)


def test_only_annotations_of_this_project_are_planned() -> None:
    own = "reconciler.trainer.kubeflow.org/restart-scope"

    plan = plan_of(trainjob(annotations={own: "gang", "other": "x"}))

    assert plan.annotations == {own: "gang"}
