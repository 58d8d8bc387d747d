"""The order of a life: what starts when, what goes, what stays; each rule of ``decide`` on its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.controller.statemachine.actions import EnsureNetwork, Launch, PullImages, Remove
from reconciler.controller.statemachine.decide import Policy, decide
from reconciler.controller.statemachine.image_state import ImageState
from reconciler.controller.statemachine.observation import Observed, Probed
from reconciler.names import LABEL_UID
from reconciler.plan.job_plan import ProbePlan
from reconciler.state.record import Problem
from tests.controller.timelines import World, plan_of

NODE = {"name": "node", "containers": 2, "backoffLimit": 0}


def world_of(*steps: dict[str, Any], policy: Policy | None = None, **runtime: Any) -> World:
    world = World.of(plan_of({"steps": list(steps), **runtime}), policy=policy)
    world.converge()
    return world


def test_ranks_are_launched_in_order_before_other_steps() -> None:
    world = World.of(
        plan_of({"steps": [{"name": "extra", "containers": 1}, {"name": "node", "containers": 3}]})
    )
    world.converge()
    assert world.log == [
        "launch demo-node-0",
        "launch demo-node-1",
        "launch demo-node-2",
        "launch demo-extra-0",
    ]


def test_the_network_comes_before_images_before_containers() -> None:
    world = World.of(plan_of({"steps": [NODE]}))
    world.record = world.record.model_copy(update={"admitted": True})
    absent = decide(world.plan, Observed(), world.record, world.now, world.policy)
    assert [type(a) for a in absent.actions] == [EnsureNetwork, PullImages]
    present = decide(world.plan, world.observed(), world.record, world.now, world.policy)
    assert [type(a) for a in present.actions] == [EnsureNetwork, Launch, Launch]


def test_a_failed_pull_is_looked_at_again_at_its_time() -> None:
    world = World.of(plan_of({"steps": [NODE]}))
    world.record = world.record.model_copy(update={"admitted": True})
    failed = ImageState(image="example/train:1", status="failed", message="no", retry_at=1234.0)
    decision = decide(
        world.plan, Observed(images={failed.image: failed}), world.record, world.now, world.policy
    )
    assert decision.requeue_at == 1234.0


def test_init_containers_run_one_after_the_other_before_the_rest() -> None:
    pod = {"first": "init", "second": "init", "main": "main"}
    world = world_of({"name": "node", "containers": 1, "pod": pod})
    assert set(world.containers) == {"demo-node-0-first"}
    world.start("demo-node-0-first")
    world.exit("demo-node-0-first", 0)
    assert "demo-node-0" not in world.containers
    world.start("demo-node-0-second")
    world.exit("demo-node-0-second", 0)
    assert "demo-node-0" in world.containers


def test_a_native_sidecar_runs_before_what_comes_after_it() -> None:
    pod = {"proxy": "sidecar", "check": "init", "main": "main"}
    world = world_of({"name": "node", "containers": 1, "pod": pod})
    assert set(world.containers) == {"demo-node-0-proxy"}
    world.start("demo-node-0-proxy")
    assert set(world.containers) == {"demo-node-0-proxy", "demo-node-0-check"}
    world.start("demo-node-0-check")
    world.exit("demo-node-0-check", 0)
    assert "demo-node-0" in world.containers


def test_a_sidecar_is_stopped_when_its_pods_work_is_done() -> None:
    pod = {"proxy": "sidecar", "main": "main"}
    world = world_of({"name": "node", "containers": 2, "pod": pod})
    world.start_all()
    world.exit("demo-node-0", 0)
    assert "stop demo-node-0-proxy" in world.log
    assert "stop demo-node-1-proxy" not in world.log
    assert not world.record.finished


def test_a_pod_has_succeeded_when_all_its_regular_containers_have() -> None:
    world = world_of({"name": "node", "containers": 1, "pod": {"main": "main", "helper": "main"}})
    world.start_all()
    world.exit("demo-node-0", 0)
    assert not world.record.finished
    world.exit("demo-node-0-helper", 0)
    assert world.record.is_true("Complete")


@pytest.mark.parametrize(("operator", "complete"), [("All", False), ("Any", True)])
def test_the_success_policy_decides_when_one_target_of_two_is_done(operator: str, complete: bool) -> None:
    world = world_of(
        {"name": "node", "containers": 1},
        {"name": "extra", "containers": 1},
        successPolicy={"operator": operator, "targetReplicatedJobs": ["node", "extra"]},
    )
    world.start_all()
    world.exit("demo-extra-0", 0)
    assert world.record.is_true("Complete") is complete


def test_the_rest_is_stopped_when_the_targets_have_succeeded() -> None:
    world = world_of(
        {"name": "node", "containers": 1},
        {"name": "server", "containers": 1},
        successPolicy={"operator": "All", "targetReplicatedJobs": ["node"]},
    )
    world.start_all()
    world.exit("demo-node-0", 0)
    assert world.record.is_true("Complete")
    assert not world.containers


def test_steps_start_in_order_where_the_startup_policy_says_so() -> None:
    world = World.of(
        replace(
            plan_of({"steps": [{"name": "first", "containers": 1}, {"name": "node", "containers": 1}]}),
            startup_in_order=True,
        )
    )
    world.converge()
    assert set(world.containers) == {"demo-first-0"}
    world.start("demo-first-0")
    assert set(world.containers) == {"demo-first-0", "demo-node-0"}


def test_ready_means_that_the_probe_passes() -> None:
    steps = [
        {"name": "server", "containers": 1},
        {"name": "node", "containers": 1, "after": [{"name": "server", "status": "Ready"}]},
    ]
    plan = plan_of({"steps": steps})
    server = plan.steps[0]
    probed = replace(server.pods[0].containers[0], readiness=ProbePlan(command=("true",)))
    instance = replace(server.pods[0], containers=(probed,))
    world = World.of(replace(plan, steps=(replace(server, pods=(instance,)), plan.steps[1])))
    world.converge()
    world.start("demo-server-0")
    assert set(world.containers) == {"demo-server-0"}
    passing = replace(
        world.observed(), probed=Probed(ready=frozenset({world.containers["demo-server-0"].id}))
    )
    decision = decide(world.plan, passing, world.record, world.now, world.policy)
    assert [a.step for a in decision.actions if isinstance(a, Launch)] == ["node"]


@pytest.mark.parametrize(
    "change",
    [
        {LABEL_UID: "another"},
        {"reconciler.trainer.kubeflow.org/attempt": "7"},
        {"reconciler.trainer.kubeflow.org/restart": "9"},
        {"reconciler.trainer.kubeflow.org/step": "gone"},
    ],
    ids=["uid", "attempt", "restart", "step"],
)
def test_a_container_of_another_run_is_removed(change: dict[str, str]) -> None:
    world = world_of(NODE)
    world.start_all()
    state = world.containers["demo-node-1"]
    other = replace(state, id="other", name="other", labels={**state.labels, **change})
    world.containers["other"] = other
    decision = decide(world.plan, world.observed(), world.record, world.now, world.policy)
    (removal,) = [a for a in decision.actions if isinstance(a, Remove)]
    assert [c.name for c in removal.containers] == ["other"]


def test_of_two_containers_for_one_place_the_older_goes() -> None:
    world = world_of(NODE)
    world.start_all()
    state = world.containers["demo-node-1"]
    world.containers["twin"] = replace(state, id="twin", name="twin", created_at=(state.created_at or 0) - 5)
    decision = decide(world.plan, world.observed(), world.record, world.now, world.policy)
    (removal,) = [a for a in decision.actions if isinstance(a, Remove)]
    assert [c.id for c in removal.containers] == ["twin"]


def test_a_renamed_container_is_still_its_rank() -> None:
    world = world_of(NODE)
    world.start_all()
    world.containers["odd"] = replace(world.containers.pop("demo-node-1"), name="odd")
    decision = decide(world.plan, world.observed(), world.record, world.now, world.policy)
    assert decision.actions == ()


def test_a_network_removed_by_hand_restarts_the_gang_and_counts_for_nothing() -> None:
    world = world_of(NODE)
    world.start_all()
    world.network = None
    world.converge()
    assert world.record.attempt == 1
    assert world.record.counted_restarts == 0
    world.advance(1001.0)
    assert set(world.containers) == {"demo-node-0", "demo-node-1"}


def test_a_suspended_job_has_no_containers_and_keeps_finished_steps() -> None:
    steps = [
        {"name": "prepare", "containers": 1},
        {"name": "node", "containers": 1, "after": [{"name": "prepare", "status": "Complete"}]},
    ]
    world = world_of(*steps)
    world.start_all()
    world.exit("demo-prepare-0", 0)
    world.start_all()
    world.plan = replace(world.plan, suspend=True)
    world.converge()
    assert not world.containers
    world.plan = replace(world.plan, suspend=False)
    world.converge()
    assert set(world.containers) == {"demo-node-0"}


def test_suspension_forgets_what_held_the_job_up() -> None:
    world = World.of(plan_of({"steps": [NODE]}))
    problem = Problem(reason="NameTaken", message="taken", since=0.0, retry_at=999.0)
    world.record = world.record.model_copy(update={"problem": problem})
    world.plan = replace(world.plan, suspend=True)
    world.converge()
    assert world.record.problem is None


def test_a_problem_ends_when_nothing_is_held_up() -> None:
    """A start that was said to have failed, and had worked: without this the job came up again for ever."""
    world = world_of(NODE)
    world.start_all()
    problem = Problem(reason="EngineError", message="timed out", since=0.0, retry_at=999.0)
    world.record = world.record.model_copy(update={"problem": problem})
    world.converge()
    assert world.record.problem is None


def test_a_deadline_counts_from_the_resume() -> None:
    plan = plan_of({"steps": [NODE]}, spec={"activeDeadlineSeconds": 60, "suspend": True})
    world = World.of(plan)
    world.converge()
    world.advance(1500.0)
    assert not world.record.finished
    world.plan = replace(world.plan, suspend=False)
    world.converge()
    assert world.requeue_at == 1560.0


def test_auto_remove_takes_containers_and_network_at_the_end() -> None:
    world = world_of({"name": "node", "containers": 1})
    world.start_all()
    world.exit("demo-node-0", 0)
    assert not world.containers
    assert world.network is None
    assert world.record.cleaned


def test_without_auto_remove_they_stay_until_the_ttl_is_over() -> None:
    world = world_of(
        {"name": "node", "containers": 1}, policy=Policy(auto_remove=False), ttlSecondsAfterFinished=30
    )
    world.start_all()
    world.exit("demo-node-0", 0)
    assert set(world.containers) == {"demo-node-0"}
    world.advance(1029.0)
    assert world.network is not None
    world.advance(1031.0)
    assert not world.containers
    assert world.network is None


def test_a_finished_job_stays_as_it_ended() -> None:
    world = world_of({"name": "node", "containers": 1, "backoffLimit": 0})
    world.start_all()
    world.exit("demo-node-0", 1)
    ended = world.record
    world.plan = replace(world.plan, suspend=True)
    world.converge()
    assert world.record == ended


def test_nothing_starts_while_the_back_off_of_the_gang_lasts() -> None:
    world = world_of(NODE, failurePolicy={"maxRestarts": 3})
    world.start_all()
    world.exit("demo-node-0", 1)
    assert not world.containers
    assert world.requeue_at == 1001.0


def test_a_finished_job_keeps_containers_that_never_started_without_stopping_them_for_ever() -> None:
    world = world_of(NODE, policy=Policy(auto_remove=False))
    world.start("demo-node-0")
    world.exit("demo-node-0", 1)
    assert world.record.is_true("Failed")
    assert world.containers["demo-node-1"].state == "created"
    decision = decide(world.plan, world.observed(), world.record, world.now, world.policy)
    assert decision.actions == ()


def test_what_follows_a_native_sidecar_waits_for_its_startup_probe() -> None:
    plan = plan_of({"steps": [{"name": "node", "containers": 1, "pod": {"side": "sidecar", "main": "main"}}]})
    (step,) = plan.steps
    (pod,) = step.pods
    probed = [
        replace(c, startup=ProbePlan(command=("true",))) if c.kind == "sidecar" else c for c in pod.containers
    ]
    plan = replace(plan, steps=(replace(step, pods=(replace(pod, containers=tuple(probed)),)),))
    world = World.of(plan)
    world.converge()
    world.start("demo-node-0-side")
    assert "demo-node-0" not in world.containers
    up = Probed(started=frozenset({world.containers["demo-node-0-side"].id}))

    passed = decide(world.plan, replace(world.observed(), probed=up), world.record, world.now, world.policy)

    assert [a.containers for a in passed.actions if isinstance(a, Launch)] == [("demo-node-0",)]
