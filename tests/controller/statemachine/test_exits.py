"""From the engine's listing to the record: results are written once, under the run they belong to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.statemachine.exits import describe_code, settle
from reconciler.engines.protocol import ExitFacts
from tests.controller.timelines import World, plan_of


def running_world(containers: int = 1, backoff: int = 3) -> World:
    world = World.of(
        plan_of({"steps": [{"name": "node", "containers": containers, "backoffLimit": backoff}]})
    )
    world.converge()
    for name in list(world.containers):
        world.start(name)
    return world


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "exit code 1"),
        (137, "signal 9 (SIGKILL), exit code 137"),
        (143, "signal 15 (SIGTERM), exit code 143"),
        (128, "exit code 128"),
        (193, "exit code 193"),
        (255, "exit code 255"),
        (None, "it ended without an exit code"),
    ],
)
def test_exit_codes_are_told_in_words(code: int | None, words: str) -> None:
    assert describe_code(code) == words


def test_a_kill_for_memory_is_named_whatever_the_code() -> None:
    assert describe_code(137, oom_killed=True).startswith("OOMKilled")


def test_a_container_that_vanished_has_failed() -> None:
    world = running_world()
    world.vanish("demo-node-0")
    last = world.record.container("demo-node-0").last_result
    assert last is not None
    assert (last.code, last.reason) == (None, "Removed")


def test_a_result_outlives_its_container() -> None:
    world = running_world(containers=2)
    world.exit("demo-node-0", 0)
    world.containers.pop("demo-node-0")
    world.converge()
    result = world.record.container("demo-node-0").result
    assert result is not None
    assert result.code == 0
    assert world.running() == {"demo-node-1"}


def test_the_same_end_is_told_once() -> None:
    world = running_world(containers=2)
    state = world.containers["demo-node-0"]
    world.containers["demo-node-0"] = replace(state, state="exited", exit=ExitFacts(code=0, finished_at=5.0))
    record, first = settle(world.plan, world.observed(), world.record, world.now)
    _, second = settle(world.plan, world.observed(), record, world.now)
    assert len(first) == 1
    assert second == ()


def test_ends_come_in_the_order_they_happened() -> None:
    world = running_world(containers=3)
    for name, at in (("demo-node-0", 30.0), ("demo-node-1", 10.0), ("demo-node-2", 20.0)):
        state = world.containers[name]
        world.containers[name] = replace(state, state="exited", exit=ExitFacts(code=1, finished_at=at))
    _, ended = settle(world.plan, world.observed(), world.record, world.now)
    assert [end.rank for end in ended] == [1, 2, 0]


def test_an_end_the_engine_cannot_explain_is_a_failure() -> None:
    world = running_world()
    world.containers["demo-node-0"] = replace(world.containers["demo-node-0"], state="exited")
    record, (ended,) = settle(world.plan, world.observed(), world.record, world.now)
    assert ended.result.reason == "Unknown"
    assert not ended.result.succeeded
    assert record.container("demo-node-0").result is not None


def test_a_refused_start_is_kubernetes_start_error() -> None:
    world = running_world()
    record = world.record.with_container("demo-node-0", start_error="no such command")
    _, (ended,) = settle(world.plan, world.observed(), record, world.now)
    assert (ended.result.code, ended.result.reason) == (128, "StartError")


def test_no_container_has_ended_before_it_started() -> None:
    world = running_world(containers=2)
    noted = world.record.with_container("demo-node-0", started_at=7.0)
    state = world.containers["demo-node-0"]
    world.containers["demo-node-0"] = replace(state, state="exited", exit=ExitFacts(code=0, finished_at=5.0))
    record, _ = settle(world.plan, world.observed(), noted, world.now)
    assert record.container("demo-node-0").started_at == 5.0
