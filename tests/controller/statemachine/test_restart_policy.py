"""What a failure leads to, rule by rule: back-off, limits, pod failure policy, JobSet's failure policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.controller.statemachine.decide import Policy
from reconciler.controller.statemachine.restart_policy import CONTAINER_BACKOFF, GANG_BACKOFF, backoff
from reconciler.names import ANNOTATION_RESTART_SCOPE
from reconciler.plan.job_plan import ExitRule
from tests.controller.timelines import World, plan_of


def world_of(*, policy: Policy | None = None, rules: tuple[ExitRule, ...] = (), **runtime: Any) -> World:
    plan = plan_of(runtime)
    if rules:
        plan = replace(plan, steps=tuple(replace(s, exit_rules=rules) for s in plan.steps))
    world = World.of(plan, policy=policy)
    world.converge()
    return world


def node(count: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": "node", "containers": count, **more}


def condition(world: World) -> tuple[str, str]:
    (found,) = [c for c in world.status()["conditions"] if c["type"] in {"Complete", "Failed"}]
    return found["type"], found["reason"]


def test_containers_wait_10_20_40_seconds_and_at_most_six_minutes() -> None:
    waits = [backoff(failures, base=CONTAINER_BACKOFF) for failures in range(1, 9)]
    assert waits == [10, 20, 40, 80, 160, 320, 360, 360]


def test_gangs_wait_1_2_4_seconds() -> None:
    assert [backoff(n, base=GANG_BACKOFF) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]


def test_a_back_off_of_very_many_failures_is_still_a_number() -> None:
    assert backoff(10_000, base=CONTAINER_BACKOFF) == 360


def test_a_failed_container_starts_again_in_place_after_its_back_off() -> None:
    world = world_of(steps=[node(2, backoffLimit=3)])
    world.start_all()
    world.exit("demo-node-1", 1)
    world.advance(1009.0)
    assert world.running() == {"demo-node-0"}
    world.advance(1010.5)
    assert world.containers["demo-node-1"].state == "created"
    assert world.record.attempt == 0
    assert world.record.container("demo-node-1").restart == 1


def test_the_second_failure_waits_twice_as_long() -> None:
    world = world_of(steps=[node(1, backoffLimit=3)])
    world.start_all()
    world.exit("demo-node-0", 1)
    world.advance(1010.0)
    world.start_all()
    world.exit("demo-node-0", 1)
    assert world.requeue_at == 1030.0


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_step_has_failed_after_one_failure_more_than_its_limit(limit: int) -> None:
    world = world_of(steps=[node(1, backoffLimit=limit)])
    for failure in range(limit + 1):
        assert not world.record.finished, failure
        world.start_all()
        world.exit("demo-node-0", 7)
        if not world.record.finished:
            world.advance(world.requeue_at or world.now)
    assert condition(world) == ("Failed", "FailedJobs")


def test_the_limit_counts_failures_of_all_ranks_together() -> None:
    world = world_of(steps=[node(2, backoffLimit=1)])
    world.start_all()
    world.exit("demo-node-0", 1)
    world.exit("demo-node-1", 1)
    assert condition(world) == ("Failed", "FailedJobs")


def test_never_replaces_the_whole_pod() -> None:
    pod = {"main": "main", "helper": "main"}
    world = world_of(steps=[node(1, backoffLimit=2, restartPolicy="Never", pod=pod)])
    world.start_all()
    world.exit("demo-node-0", 1)
    assert not world.containers
    world.advance(1010.0)
    restarts = {
        name: c.labels["reconciler.trainer.kubeflow.org/restart"] for name, c in world.containers.items()
    }
    assert restarts == {"demo-node-0": "1", "demo-node-0-helper": "1"}


def test_gang_scope_makes_each_retry_one_of_all_ranks() -> None:
    world = world_of(steps=[node(2, backoffLimit=2)], annotations={ANNOTATION_RESTART_SCOPE: "gang"})
    world.start_all()
    world.exit("demo-node-1", 1)
    assert not world.containers
    assert world.record.attempt == 1
    world.advance(1001.0)
    assert set(world.containers) == {"demo-node-0", "demo-node-1"}
    assert world.record.counted_restarts == 0


def test_gang_scope_keeps_to_the_backoff_limit() -> None:
    world = world_of(policy=Policy(restart_scope="gang"), steps=[node(1, backoffLimit=1)])
    for _ in range(2):
        world.start_all()
        world.exit("demo-node-0", 1)
        world.advance(world.now + 10)
    assert condition(world) == ("Failed", "FailedJobs")


def test_max_restarts_starts_the_gang_anew_then_fails_for_good() -> None:
    world = world_of(steps=[node(2, backoffLimit=0)], failurePolicy={"maxRestarts": 1})
    world.start_all()
    world.exit("demo-node-0", 1)
    assert (world.record.attempt, world.record.restarts) == (1, 1)
    assert world.running() == set()
    world.advance(1001.0)
    world.start_all()
    world.exit("demo-node-1", 1)
    assert condition(world) == ("Failed", "ReachedMaxRestarts")


def test_a_rule_may_fail_the_job_whatever_restarts_are_left() -> None:
    rules = [{"name": "stop", "action": "FailJobSet", "onJobFailureReasons": ["BackoffLimitExceeded"]}]
    world = world_of(steps=[node(1, backoffLimit=0)], failurePolicy={"maxRestarts": 5, "rules": rules})
    world.start_all()
    world.exit("demo-node-0", 1)
    assert condition(world) == ("Failed", "FailJobSetFailurePolicyAction")
    (failed,) = world.status()["conditions"]
    upstream = "applying FailJobSet failure policy action (first failed job: demo-node-0)"
    assert failed["message"].startswith(upstream)


@pytest.mark.parametrize(
    ("code", "said", "ends"), [(42, "exit code 42 matching FailJob rule", True), (43, "exit code 42", False)]
)
def test_a_rule_may_go_by_the_words_of_the_job_controller(code: int, said: str, *, ends: bool) -> None:
    rules = [{"name": "stop", "action": "FailJobSet", "onJobFailureMessagePatterns": [said]}]
    rule = ExitRule(action="FailJob", operator="In", codes=(42, 43))
    world = world_of(rules=(rule,), steps=[node(1)], failurePolicy={"maxRestarts": 5, "rules": rules})
    world.start_all()
    world.exit("demo-node-0", code)
    assert world.record.is_true("Failed") is ends
    assert world.record.restarts == (0 if ends else 1)


def test_a_rule_may_restart_without_counting() -> None:
    rules = [{"name": "free", "action": "RestartJobSetAndIgnoreMaxRestarts"}]
    world = world_of(steps=[node(1, backoffLimit=0)], failurePolicy={"maxRestarts": 0, "rules": rules})
    for restart in range(1, 4):
        world.start_all()
        world.exit("demo-node-0", 1)
        assert (world.record.restarts, world.record.counted_restarts) == (restart, 0)
        world.advance(world.now + 10)


def test_the_first_rule_that_matches_counts() -> None:
    rules = [
        {"name": "other", "action": "FailJobSet", "targetReplicatedJobs": ["elsewhere"]},
        {"name": "mine", "action": "RestartJobSet", "targetReplicatedJobs": ["node"]},
        {"name": "never", "action": "FailJobSet"},
    ]
    world = world_of(steps=[node(1, backoffLimit=0)], failurePolicy={"maxRestarts": 1, "rules": rules})
    world.start_all()
    world.exit("demo-node-0", 1)
    assert world.record.restarts == 1


ALONE = {"maxRestarts": 1, "rules": [{"name": "alone", "action": "RestartJob"}]}


def test_a_rule_may_restart_the_failed_job_alone_and_each_as_often_as_the_whole() -> None:
    # Arrange
    side = {"name": "side", "containers": 1, "backoffLimit": 0}
    world = world_of(steps=[node(2, backoffLimit=0), side], failurePolicy=ALONE)
    world.start_all()

    # Act and assert: node, then side, each once
    world.exit("demo-node-0", 1)
    assert world.running() == {"demo-side-0"}
    world.advance(1001.0)
    world.start_all()
    assert world.running() == {"demo-node-0", "demo-node-1", "demo-side-0"}
    world.exit("demo-side-0", 1)
    world.advance(1002.5)
    world.start_all()
    assert (world.record.restarts, world.record.attempt, world.record.finished) == (0, 0, False)
    world.exit("demo-node-1", 1)
    assert condition(world) == ("Failed", "ReachedMaxRestarts")


def test_a_job_restarted_alone_has_its_deadline_anew() -> None:
    world = world_of(steps=[node(1, activeDeadlineSeconds=10)], failurePolicy=ALONE)
    world.start_all()
    world.advance(1011.5)
    world.start_all()
    world.advance(1018.0)
    assert world.running() == {"demo-node-0"}
    world.advance(1023.0)
    assert condition(world) == ("Failed", "ReachedMaxRestarts")


def test_an_exit_rule_fails_the_step_at_once() -> None:
    rule = ExitRule(action="FailJob", operator="In", codes=(42,))
    world = world_of(rules=(rule,), steps=[node(1, backoffLimit=6)])
    world.start_all()
    world.exit("demo-node-0", 42)
    assert world.record.is_true("Failed")


def test_an_exit_rule_may_ignore_failures() -> None:
    rule = ExitRule(action="Ignore", operator="In", codes=(143,))
    world = world_of(rules=(rule,), steps=[node(1, backoffLimit=0)])
    world.start_all()
    world.exit("demo-node-0", 143)
    assert not world.record.finished
    assert world.record.step_failures == {}


def test_an_exit_rule_is_about_its_container_only() -> None:
    rule = ExitRule(action="FailJob", operator="NotIn", codes=(0,), container="elsewhere")
    world = world_of(rules=(rule,), steps=[node(1, backoffLimit=1)])
    world.start_all()
    world.exit("demo-node-0", 1)
    assert not world.record.finished


def test_the_failure_names_the_rank_that_failed_first() -> None:
    world = world_of(steps=[node(3, backoffLimit=0)])
    world.start_all()
    world.exit("demo-node-2", 137, oom_killed=True)
    message = world.status()["message"]
    assert "rank 2" in message
    assert "OOMKilled" in message


def test_a_deadline_does_not_blame_a_rank() -> None:
    plan = plan_of({"steps": [node(1, backoffLimit=3)]}, spec={"activeDeadlineSeconds": 30})
    world = World.of(plan)
    world.converge()
    world.start_all()
    world.exit("demo-node-0", 1)
    world.advance(1031.0)
    assert condition(world) == ("Failed", "DeadlineExceeded")
    assert "rank" not in world.status()["message"]


def test_a_step_deadline_fails_the_step() -> None:
    world = world_of(steps=[node(1, backoffLimit=3, activeDeadlineSeconds=20)])
    world.start_all()
    world.advance(1021.0)
    assert world.record.steps_done == {"node": "failed"}
    assert condition(world) == ("Failed", "FailedJobs")


def test_a_sidecar_that_dies_starts_again_and_counts_for_nothing() -> None:
    pod = {"proxy": "sidecar", "main": "main"}
    world = world_of(steps=[node(1, backoffLimit=0, pod=pod)])
    world.start_all()
    world.start_all()
    world.exit("demo-node-0-proxy", 1)
    assert not world.record.finished
    assert world.record.step_failures == {}
    assert world.record.container("demo-node-0-proxy").restart == 1


def test_what_shares_a_restarting_containers_network_goes_with_it() -> None:
    pod = {"proxy": "sidecar", "main": "main"}
    world = world_of(steps=[node(1, backoffLimit=3, pod=pod)])
    world.start_all()
    world.start_all()
    assert world.running() == {"demo-node-0-proxy", "demo-node-0"}
    world.exit("demo-node-0-proxy", 1)
    assert world.running() == set()
    world.advance(1010.0)
    assert world.record.container("demo-node-0").restart == 1
    assert world.record.container("demo-node-0").failures == 0


def test_a_helper_that_fails_does_not_take_the_owner_along() -> None:
    world = world_of(steps=[node(1, backoffLimit=3, pod={"main": "main", "helper": "main"})])
    world.start_all()
    world.exit("demo-node-0-helper", 1)
    assert world.running() == {"demo-node-0"}
    assert world.record.container("demo-node-0").restart == 0
