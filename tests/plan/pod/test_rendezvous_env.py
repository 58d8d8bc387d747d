"""``MASTER_ADDR`` and the variables beside it."""

from __future__ import annotations

from tests.plan.manifests import (
    container,
    env,
    only,
    plan_of,
    rendered,
    rendered_env,
    runtime,
    step,
    trainjob,
)


def test_every_container_of_a_node_has_the_variables() -> None:
    runtime_manifest = runtime(
        step("node", container(), container("side"), pod={"initContainers": [container("prep")]})
    )

    plan = plan_of(trainjob({"numNodes": 2}), runtime_manifest)

    for name in ("demo-node-1", "demo-node-1-side", "demo-node-1-prep"):
        got = rendered_env(plan, name)
        assert (got["MASTER_ADDR"], got["MASTER_PORT"]) == ("$(node-0.ip)", "29500")
        assert (got["RANK"], got["WORLD_SIZE"]) == ("1", "2")


def test_values_of_runtime_and_job_win() -> None:
    runtime_manifest = runtime(step("node", container(env=[{"name": "MASTER_PORT", "value": "1"}])))

    got = env(only(plan_of(trainjob({"env": [{"name": "RANK", "value": "7"}]}), runtime_manifest)))

    assert (got["MASTER_PORT"], got["RANK"]) == ("1", "7")


def test_arguments_may_refer_to_the_variables() -> None:
    trainer = {"args": ["--init=tcp://$(MASTER_ADDR):$(MASTER_PORT)"]}

    assert rendered(plan_of(trainjob(trainer)), "demo-node-0")["args"] == ["--init=tcp://$(node-0.ip):29500"]


def test_steps_that_do_not_train_lack_the_variables() -> None:
    plan = plan_of(trainjob(), runtime(step("warm", container("warm")), step("node")))

    assert "MASTER_ADDR" not in rendered_env(plan, "demo-warm")
