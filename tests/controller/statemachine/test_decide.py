"""What a decision removes, keeps, waits for and cleans up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.statemachine.actions import EnsureNetwork, Launch, PullImages, Remove
from reconciler.controller.statemachine.decide import DecisionOptions
from reconciler.controller.statemachine.observation import ImageState, Observed
from reconciler.names import LABEL_UID
from reconciler.state.record import Problem
from tests.controller.timelines import SimulatedJob, node, plan_of, simulate

NODE = node(2, backoffLimit=0)


def test_the_network_comes_before_images_before_containers() -> None:
    job = SimulatedJob.accepted(plan_of({"steps": [NODE]}))
    job.record = job.record.model_copy(update={"admitted": True})
    absent = job.decide(Observed())
    assert [type(a) for a in absent.actions] == [EnsureNetwork, PullImages]
    present = job.decide()
    assert [type(a) for a in present.actions] == [EnsureNetwork, Launch]


def test_a_failed_pull_is_decided_on_again_at_its_retry() -> None:
    job = SimulatedJob.accepted(plan_of({"steps": [NODE]}))
    job.record = job.record.model_copy(update={"admitted": True})
    failed = ImageState(image="example/train:1", status="failed", message="no", retry_at=1234.0)
    decision = job.decide(Observed(images={failed.image: failed}))
    assert decision.requeue_at == 1234.0


def test_a_sidecar_container_is_stopped_when_its_pod_has_succeeded() -> None:
    pod = {"proxy": "sidecar", "main": "main"}
    job = simulate(node(2, pod=pod))
    job.start_all()
    job.exit("demo-node-0", 0)
    assert "stop demo-node-0-proxy" in job.log
    assert "stop demo-node-1-proxy" not in job.log
    assert not job.record.finished


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
    job = simulate(NODE)
    job.start_all()
    state = job.containers["demo-node-1"]
    other = replace(state, id="other", name="other", labels={**state.labels, **change})
    job.containers["other"] = other
    decision = job.decide()
    (removal,) = [a for a in decision.actions if isinstance(a, Remove)]
    assert [c.name for c in removal.containers] == ["other"]


def test_of_two_containers_for_one_place_the_older_is_removed() -> None:
    job = simulate(NODE)
    job.start_all()
    state = job.containers["demo-node-1"]
    job.containers["twin"] = replace(state, id="twin", name="twin", created_at=(state.created_at or 0) - 5)
    decision = job.decide()
    (removal,) = [a for a in decision.actions if isinstance(a, Remove)]
    assert [c.id for c in removal.containers] == ["twin"]


def test_a_renamed_container_is_still_its_rank() -> None:
    job = simulate(NODE)
    job.start_all()
    job.containers["odd"] = replace(job.containers.pop("demo-node-1"), name="odd")
    decision = job.decide()
    assert decision.actions == ()


def test_a_network_removed_by_hand_restarts_the_gang_uncounted() -> None:
    job = simulate(NODE)
    job.start_all()
    job.network = None
    job.converge()
    assert job.record.attempt == 1
    assert job.record.counted_restarts == 0
    job.advance(1001.0)
    assert set(job.containers) == {"demo-node-0", "demo-node-1"}


def test_a_problem_ends_when_nothing_is_held_up() -> None:
    """A start that was said to have failed, and had worked: without this the job came up again for ever."""
    job = simulate(NODE)
    job.start_all()
    problem = Problem(reason="EngineError", message="timed out", since=0.0, retry_at=999.0)
    job.record = job.record.model_copy(update={"problem": problem})
    job.converge()
    assert job.record.problem is None


def test_auto_remove_removes_containers_and_network_at_the_end() -> None:
    job = simulate(node(1))
    job.start_all()
    job.exit("demo-node-0", 0)
    assert not job.containers
    assert job.network is None
    assert job.record.cleaned


def test_without_auto_remove_they_stay_until_the_ttl_is_over() -> None:
    job = simulate(
        node(1),
        options=DecisionOptions(auto_remove=False),
        ttlSecondsAfterFinished=30,
    )
    job.start_all()
    job.exit("demo-node-0", 0)
    assert set(job.containers) == {"demo-node-0"}
    job.advance(1029.0)
    assert job.network is not None
    job.advance(1031.0)
    assert not job.containers
    assert job.network is None


def test_a_finished_job_stays_as_it_ended() -> None:
    job = simulate(node(1, backoffLimit=0))
    job.start_all()
    job.exit("demo-node-0", 1)
    ended = job.record
    job.plan = replace(job.plan, suspend=True)
    job.converge()
    assert job.record == ended


def test_nothing_starts_during_the_back_off_of_the_gang() -> None:
    job = simulate(NODE, failurePolicy={"maxRestarts": 3})
    job.start_all()
    job.exit("demo-node-0", 1)
    assert not job.containers
    assert job.requeue_at == 1001.0


def test_a_finished_job_does_not_stop_containers_that_never_started() -> None:
    job = simulate(NODE, options=DecisionOptions(auto_remove=False))
    job.start("demo-node-0")
    job.exit("demo-node-0", 1)
    assert job.record.is_true("Failed")
    assert job.containers["demo-node-1"].state == "created"
    decision = job.decide()
    assert decision.actions == ()
