"""Which step has the training nodes, and how many."""

from __future__ import annotations

from tests.plan.manifests import (
    container,
    env,
    only,
    plan_of,
    runtime,
    step,
    trainjob,
)


def test_pods_of_a_trainer_step_of_any_name_are_nodes() -> None:
    plan = plan_of(trainjob({"numNodes": 2}), runtime(step("worker", container(), role="trainer")))

    assert [(pod.name, pod.rank) for pod in plan.pods] == [("demo-node-0", 0), ("demo-node-1", 1)]
    assert env(only(plan, "worker"))["PET_MASTER_ADDR"] == "$(worker-0.ip)"


def test_zero_nodes_give_a_warning() -> None:
    plan = plan_of(trainjob({"numNodes": 0}))

    assert (plan.nodes, plan.step("node").count) == (0, 0)
    assert plan.warnings == (("spec.trainer.numNodes", "there are no nodes: the job completes at once"),)


def test_parallelism_counts_without_an_ml_policy() -> None:
    runtime_manifest = runtime(step("node", container(), job={"parallelism": 3}))
    del runtime_manifest["spec"]["mlPolicy"]

    assert plan_of(trainjob(), runtime_manifest).nodes == 3
    assert plan_of(trainjob({"numNodes": 2}), runtime_manifest).nodes == 2


def test_a_step_called_node_without_the_label_is_the_trainer_and_a_cluster_would_not_think_so() -> None:
    runtime_manifest = runtime(step("node", container(), role=""))

    plan = plan_of(trainjob({"image": "mine", "numNodes": 2}), runtime_manifest)

    assert [pod.rank for pod in plan.pods] == [0, 1]
    assert plan.pods[0].primary.image == "mine"
    ((path, message),) = plan.cluster_differences
    assert path == "spec.trainer"
    assert "a cluster would ignore" in message
