"""Retries inside a step: back-off, backoffLimit, restartPolicy, podFailurePolicy, sidecar containers."""

from __future__ import annotations

import pytest

from reconciler.controller.statemachine.decide import DecisionOptions
from reconciler.names import ANNOTATION_RESTART_SCOPE
from reconciler.plan.job_plan import ExitRule
from tests.controller.timelines import node, simulate


def test_a_failed_container_starts_again_in_place_after_its_back_off() -> None:
    job = simulate(node(2, backoffLimit=3))
    job.start_all()
    job.exit("demo-node-1", 1)
    job.advance(1009.0)
    assert job.running() == {"demo-node-0"}
    job.advance(1010.5)
    assert job.containers["demo-node-1"].state == "created"
    assert job.record.attempt == 0
    assert job.record.container("demo-node-1").restart == 1


def test_the_second_failure_waits_twice_as_long() -> None:
    job = simulate(node(1, backoffLimit=3))
    job.start_all()
    job.exit("demo-node-0", 1)
    job.advance(1010.0)
    job.start_all()
    job.exit("demo-node-0", 1)
    assert job.requeue_at == 1030.0


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_a_step_has_failed_after_one_failure_more_than_its_limit(limit: int) -> None:
    job = simulate(node(1, backoffLimit=limit))
    for failure in range(limit + 1):
        assert not job.record.finished, failure
        job.start_all()
        job.exit("demo-node-0", 7)
        if not job.record.finished:
            job.advance(job.requeue_at or job.now)
    assert job.end() == ("Failed", "FailedJobs")


def test_the_limit_counts_failures_of_all_ranks_together() -> None:
    job = simulate(node(2, backoffLimit=1))
    job.start_all()
    job.exit("demo-node-0", 1)
    job.exit("demo-node-1", 1)
    assert job.end() == ("Failed", "FailedJobs")


def test_restart_policy_never_replaces_the_whole_pod() -> None:
    pod = {"main": "main", "helper": "main"}
    job = simulate(node(1, backoffLimit=2, restartPolicy="Never", pod=pod))
    job.start_all()
    job.exit("demo-node-0", 1)
    assert not job.containers
    job.advance(1010.0)
    restarts = {
        name: c.labels["reconciler.trainer.kubeflow.org/restart"] for name, c in job.containers.items()
    }
    assert restarts == {"demo-node-0": "1", "demo-node-0-helper": "1"}


def test_gang_scope_restarts_all_ranks_at_each_retry() -> None:
    job = simulate(node(2, backoffLimit=2), annotations={ANNOTATION_RESTART_SCOPE: "gang"})
    job.start_all()
    job.exit("demo-node-1", 1)
    assert not job.containers
    assert job.record.attempt == 1
    job.advance(1001.0)
    assert set(job.containers) == {"demo-node-0", "demo-node-1"}
    assert job.record.counted_restarts == 0


def test_gang_scope_keeps_to_the_backoff_limit() -> None:
    job = simulate(node(1, backoffLimit=1), options=DecisionOptions(restart_scope="gang"))
    for _ in range(2):
        job.start_all()
        job.exit("demo-node-0", 1)
        job.advance(job.now + 10)
    assert job.end() == ("Failed", "FailedJobs")


def test_an_exit_rule_fails_the_step_at_once() -> None:
    rule = ExitRule(action="FailJob", operator="In", codes=(42,))
    job = simulate(node(1, backoffLimit=6, exitRules=(rule,)))
    job.start_all()
    job.exit("demo-node-0", 42)
    assert job.record.is_true("Failed")


def test_an_exit_rule_may_ignore_failures() -> None:
    rule = ExitRule(action="Ignore", operator="In", codes=(143,))
    job = simulate(node(1, backoffLimit=0, exitRules=(rule,)))
    job.start_all()
    job.exit("demo-node-0", 143)
    assert not job.record.finished
    assert job.record.step_failures == {}


def test_an_exit_rule_is_about_its_container_only() -> None:
    rule = ExitRule(action="FailJob", operator="NotIn", codes=(0,), container="elsewhere")
    job = simulate(node(1, backoffLimit=1, exitRules=(rule,)))
    job.start_all()
    job.exit("demo-node-0", 1)
    assert not job.record.finished


def test_a_failed_sidecar_container_restarts_uncounted() -> None:
    pod = {"proxy": "sidecar", "main": "main"}
    job = simulate(node(1, backoffLimit=0, pod=pod))
    job.start_all()
    job.start_all()
    job.exit("demo-node-0-proxy", 1)
    assert not job.record.finished
    assert job.record.step_failures == {}
    assert job.record.container("demo-node-0-proxy").restart == 1


def test_containers_that_share_the_network_restart_with_its_owner() -> None:
    pod = {"proxy": "sidecar", "main": "main"}
    job = simulate(node(1, backoffLimit=3, pod=pod))
    job.start_all()
    job.start_all()
    assert job.running() == {"demo-node-0-proxy", "demo-node-0"}
    job.exit("demo-node-0-proxy", 1)
    assert job.running() == set()
    job.advance(1010.0)
    assert job.record.container("demo-node-0").restart == 1
    assert job.record.container("demo-node-0").failures == 0


def test_a_container_that_shares_the_network_restarts_alone() -> None:
    job = simulate(node(1, backoffLimit=3, pod={"main": "main", "helper": "main"}))
    job.start_all()
    job.exit("demo-node-0-helper", 1)
    assert job.running() == {"demo-node-0"}
    assert job.record.container("demo-node-0").restart == 0
