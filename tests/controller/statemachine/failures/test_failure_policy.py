"""What a failed step leads to: JobSet's failure policy, deadlines, the message that names the rank."""

from __future__ import annotations

import pytest

from reconciler.plan.job_plan import ExitRule
from tests.controller.timelines import SimulatedJob, node, plan_of, simulate


def test_max_restarts_restarts_the_gang_then_fails_the_job() -> None:
    job = simulate(node(2, backoffLimit=0), failurePolicy={"maxRestarts": 1})
    job.start_all()
    job.exit("demo-node-0", 1)
    assert (job.record.attempt, job.record.restarts) == (1, 1)
    assert job.running() == set()
    job.advance(1001.0)
    job.start_all()
    job.exit("demo-node-1", 1)
    assert job.end() == ("Failed", "ReachedMaxRestarts")


def test_a_rule_may_fail_the_job_whatever_restarts_are_left() -> None:
    rules = [{"name": "stop", "action": "FailJobSet", "onJobFailureReasons": ["BackoffLimitExceeded"]}]
    job = simulate(node(1, backoffLimit=0), failurePolicy={"maxRestarts": 5, "rules": rules})
    job.start_all()
    job.exit("demo-node-0", 1)
    assert job.end() == ("Failed", "FailJobSetFailurePolicyAction")
    (failed,) = job.status()["conditions"]
    upstream = "applying FailJobSet failure policy action (first failed job: demo-node-0)"
    assert failed["message"].startswith(upstream)


@pytest.mark.parametrize(
    ("code", "said", "ends"), [(42, "exit code 42 matching FailJob rule", True), (43, "exit code 42", False)]
)
def test_a_rule_may_match_the_job_controllers_message(code: int, said: str, *, ends: bool) -> None:
    rules = [{"name": "stop", "action": "FailJobSet", "onJobFailureMessagePatterns": [said]}]
    rule = ExitRule(action="FailJob", operator="In", codes=(42, 43))
    job = simulate(node(1, exitRules=(rule,)), failurePolicy={"maxRestarts": 5, "rules": rules})
    job.start_all()
    job.exit("demo-node-0", code)
    assert job.record.is_true("Failed") is ends
    assert job.record.restarts == (0 if ends else 1)


def test_a_rule_may_restart_without_counting() -> None:
    rules = [{"name": "free", "action": "RestartJobSetAndIgnoreMaxRestarts"}]
    job = simulate(node(1, backoffLimit=0), failurePolicy={"maxRestarts": 0, "rules": rules})
    for restart in range(1, 4):
        job.start_all()
        job.exit("demo-node-0", 1)
        assert (job.record.restarts, job.record.counted_restarts) == (restart, 0)
        job.advance(job.now + 10)


def test_the_first_rule_that_matches_counts() -> None:
    rules = [
        {"name": "other", "action": "FailJobSet", "targetReplicatedJobs": ["elsewhere"]},
        {"name": "mine", "action": "RestartJobSet", "targetReplicatedJobs": ["node"]},
        {"name": "never", "action": "FailJobSet"},
    ]
    job = simulate(node(1, backoffLimit=0), failurePolicy={"maxRestarts": 1, "rules": rules})
    job.start_all()
    job.exit("demo-node-0", 1)
    assert job.record.restarts == 1


ALONE = {"maxRestarts": 1, "rules": [{"name": "alone", "action": "RestartJob"}]}


def test_a_rule_may_restart_each_failed_step_alone_up_to_max_restarts() -> None:
    # Arrange
    side = {"name": "side", "containers": 1, "backoffLimit": 0}
    job = simulate(node(2, backoffLimit=0), side, failurePolicy=ALONE)
    job.start_all()

    # Act and assert: node, then side, each once
    job.exit("demo-node-0", 1)
    assert job.running() == {"demo-side-0"}
    job.advance(1001.0)
    job.start_all()
    assert job.running() == {"demo-node-0", "demo-node-1", "demo-side-0"}
    job.exit("demo-side-0", 1)
    job.advance(1002.5)
    job.start_all()
    assert (job.record.restarts, job.record.attempt, job.record.finished) == (0, 0, False)
    job.exit("demo-node-1", 1)
    assert job.end() == ("Failed", "ReachedMaxRestarts")


def test_a_step_restarted_alone_has_its_deadline_anew() -> None:
    job = simulate(node(1, activeDeadlineSeconds=10), failurePolicy=ALONE)
    job.start_all()
    job.advance(1011.5)
    job.start_all()
    job.advance(1018.0)
    assert job.running() == {"demo-node-0"}
    job.advance(1023.0)
    assert job.end() == ("Failed", "ReachedMaxRestarts")


def test_the_failure_names_the_rank_that_failed_first() -> None:
    job = simulate(node(3, backoffLimit=0))
    job.start_all()
    job.exit("demo-node-2", 137, oom_killed=True)
    message = job.status()["message"]
    assert "rank 2" in message
    assert "OOMKilled" in message


def test_a_deadline_names_no_rank() -> None:
    plan = plan_of({"steps": [node(1, backoffLimit=3)]}, spec={"activeDeadlineSeconds": 30})
    job = SimulatedJob.accepted(plan)
    job.converge()
    job.start_all()
    job.exit("demo-node-0", 1)
    job.advance(1031.0)
    assert job.end() == ("Failed", "DeadlineExceeded")
    assert "rank" not in job.status()["message"]


def test_a_step_deadline_fails_the_step() -> None:
    job = simulate(node(1, backoffLimit=3, activeDeadlineSeconds=20))
    job.start_all()
    job.advance(1021.0)
    assert job.record.steps_done == {"node": "failed"}
    assert job.end() == ("Failed", "FailedJobs")
