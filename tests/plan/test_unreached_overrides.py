"""An override of a job that reaches nothing is a warning at its path, never silence."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.names import KEY_PREFIX
from tests.plan.manifests import container, plan_of, runtime, step, trainjob

STEP_ELSEWHERE = step("work", container(), role="")
OTHER_CONTAINER = step("node", container("main"))


@pytest.mark.parametrize(
    "trainer",
    [
        {"image": "mine"},
        {"command": ["x"]},
        {"args": ["x"]},
        {"env": [{"name": "A", "value": "1"}]},
        {"resourcesPerNode": {"limits": {"cpu": "1"}}},
        {"numNodes": 2},
    ],
)
def test_a_field_of_the_trainer_that_no_step_takes(trainer: dict[str, Any]) -> None:
    plan = plan_of(trainjob(trainer), runtime(STEP_ELSEWHERE))

    (field,) = trainer
    assert "has no effect" in dict(plan.warnings)[f"spec.trainer.{field}"]


def test_a_command_for_a_container_of_another_name() -> None:
    plan = plan_of(trainjob({"command": ["x"]}), runtime(OTHER_CONTAINER))

    assert "no container 'node'" in dict(plan.warnings)["spec.trainer.command"]


@pytest.mark.parametrize("field", ["command", "args"])
def test_an_empty_list_that_clears_nothing(field: str) -> None:
    plan = plan_of(trainjob({field: []}))

    assert "changes nothing" in dict(plan.warnings)[f"spec.trainer.{field}"]


@pytest.mark.parametrize("framework", ["jax", "xgboost", ""])
def test_processes_of_a_framework_that_starts_one_a_node(framework: str) -> None:
    policy: dict[str, Any] = {framework: {}} if framework else {"numNodes": 1}

    plan = plan_of(trainjob({"numProcPerNode": 2}), runtime(policy=policy))

    assert "has no effect" in dict(plan.warnings)["spec.trainer.numProcPerNode"]


@pytest.mark.parametrize("section", ["dataset", "model"])
def test_an_initializer_whose_step_has_no_label(section: str) -> None:
    name = f"{section}-initializer"
    steps = [step(name, container(name), role=""), step()]

    plan = plan_of(trainjob(initializer={section: {"storageUri": "hf://x"}}), runtime(*steps))

    assert "has no effect" in dict(plan.warnings)[f"spec.initializer.{section}"]


def test_nodes_of_a_runtime_without_a_step_that_trains() -> None:
    plan = plan_of(trainjob(), runtime(STEP_ELSEWHERE, policy={"numNodes": 3}))

    assert "has no effect" in dict(plan.warnings)["spec.mlPolicy.numNodes"]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("update-polcy", "Recreate", "did you mean reconciler.trainer.kubeflow.org/update-policy?"),
        ("update-policy", "recreate", "none of Refuse, Recreate"),
        ("restart-scope", "all", "none of container, gang"),
        ("priority", "high", "no whole number"),
    ],
)
def test_an_annotation_that_nothing_reads(key: str, value: str, said: str) -> None:
    job = trainjob()
    job["metadata"]["annotations"] = {KEY_PREFIX + key: value}

    plan = plan_of(job)

    assert said in dict(plan.warnings)[f"metadata.annotations[{KEY_PREFIX}{key}]"]


@pytest.mark.parametrize(
    ("trainer", "manifest"),
    [
        ({"command": ["x"], "numNodes": 2, "numProcPerNode": 2}, runtime()),
        ({"command": ["x"], "numNodes": 1}, runtime(policy={"numNodes": 1})),
        ({"numNodes": 2}, runtime(step("worker", container(), role="trainer"))),
    ],
)
def test_what_is_reached_is_not_warned_about(trainer: dict[str, Any], manifest: dict[str, Any]) -> None:
    plan = plan_of(trainjob(trainer), manifest)

    assert (plan.warnings, plan.cluster_differences) == ((), ())


def test_the_launcher_of_an_unlabelled_mpi_runtime_is_its_trainer() -> None:
    launcher = step("launcher", container(), role="")
    steps = [step("node", container(), role=""), launcher]

    plan = plan_of(trainjob({"command": ["mpirun"], "numNodes": 2}), runtime(*steps, policy={"mpi": {}}))

    assert plan.step("launcher").pods[0].primary.command == ("mpirun",)
    assert plan.step("node").pods[0].primary.command is None
    assert plan.step("node").count == 2


def test_an_inferred_trainer_of_several_replicas_has_as_many_nodes_as_the_job_says() -> None:
    own = runtime(step("node", container(), role="", replicas=3), policy={})

    assert plan_of(trainjob(), own).nodes == 3
    assert plan_of(trainjob({"numNodes": 2}), own).nodes == 2
