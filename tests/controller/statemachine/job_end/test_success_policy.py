"""When pods, steps and the job are complete."""

from __future__ import annotations

import pytest

from tests.controller.timelines import node, simulate


def test_a_pod_has_succeeded_when_all_its_regular_containers_have() -> None:
    job = simulate(node(1, pod={"main": "main", "helper": "main"}))
    job.start_all()
    job.exit("demo-node-0", 0)
    assert not job.record.finished
    job.exit("demo-node-0-helper", 0)
    assert job.record.is_true("Complete")


@pytest.mark.parametrize(("operator", "complete"), [("All", False), ("Any", True)])
def test_the_success_policy_decides_when_one_target_of_two_is_done(operator: str, complete: bool) -> None:
    job = simulate(
        node(1),
        {"name": "extra", "containers": 1},
        successPolicy={"operator": operator, "targetReplicatedJobs": ["node", "extra"]},
    )
    job.start_all()
    job.exit("demo-extra-0", 0)
    assert job.record.is_true("Complete") is complete


def test_other_steps_are_stopped_when_the_targets_have_succeeded() -> None:
    job = simulate(
        node(1),
        {"name": "server", "containers": 1},
        successPolicy={"operator": "All", "targetReplicatedJobs": ["node"]},
    )
    job.start_all()
    job.exit("demo-node-0", 0)
    assert job.record.is_true("Complete")
    assert not job.containers
