"""A quiet job counts as failed, but only where its annotation asks for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.statemachine.actions import Dump
from reconciler.controller.statemachine.decide import decide
from reconciler.controller.statemachine.observation import Observed
from reconciler.controller.statemachine.stall_detection import annotation_faults, stall_timeout
from reconciler.names import ANNOTATION_STALL_TIMEOUT
from tests.controller.timelines import World, plan_of


def _running(*, timeout: str = "60", restarts: int | None = None) -> World:
    runtime = {
        "steps": [{"name": "node", "containers": 2}],
        "annotations": {ANNOTATION_STALL_TIMEOUT: timeout},
    }
    if restarts is not None:
        runtime["failurePolicy"] = {"maxRestarts": restarts}
    world = World.of(plan_of(runtime))
    world.converge()
    for name in list(world.containers):
        world.start(name)
    return world


def _with_activity(world: World, at: dict[str, float]) -> Observed:
    ids = {world.containers[name].id: when for name, when in at.items()}
    return replace(world.observed(), activity=ids)


def test_one_rank_that_prints_keeps_the_job_alive() -> None:
    world = _running()
    observed = _with_activity(world, {"demo-node-1": 1050.0})

    decision = decide(world.plan, observed, world.record, 1100.0, world.policy)

    assert not decision.record.finished
    assert decision.requeue_at == 1110.0


def test_silence_of_all_ranks_is_a_failure_with_a_dump_before_the_stop() -> None:
    world = _running()

    decision = decide(world.plan, world.observed(), world.record, 1061.0, world.policy)

    assert decision.record.is_true("Failed")
    assert decision.record.failure is not None
    assert decision.record.failure.reason == "Stalled"
    assert isinstance(decision.actions[0], Dump)
    assert [c.name for c in decision.actions[0].containers] == ["demo-node-0", "demo-node-1"]


def test_a_stall_restarts_the_gang_where_the_policy_allows_it() -> None:
    world = _running(restarts=1)

    decision = decide(world.plan, world.observed(), world.record, 1061.0, world.policy)

    assert (decision.record.attempt, decision.record.finished) == (1, False)


def test_without_the_annotation_nobody_watches() -> None:
    plan = plan_of({"steps": [{"name": "node", "containers": 1}]})
    world = World.of(plan)
    world.converge()
    world.start("demo-node-0")

    decision = decide(plan, world.observed(), world.record, 1e9, world.policy)

    assert not decision.record.finished


@pytest.mark.parametrize(("text", "seconds"), [("600", 600.0), ("10m", 600.0), ("0", None), ("soon", None)])
def test_the_annotation_is_a_duration(text: str, seconds: float | None) -> None:
    plan = plan_of(
        {"steps": [{"name": "node", "containers": 1}], "annotations": {ANNOTATION_STALL_TIMEOUT: text}}
    )

    assert stall_timeout(plan) == seconds
    assert bool(annotation_faults(plan)) == (text == "soon")
