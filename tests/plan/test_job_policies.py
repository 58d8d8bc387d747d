"""Policies of Job and JobSet."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.plan.job_plan import Dependency, ExitRule, FailureRule
from tests.plan.manifests import container, plan_of, runtime, step, trainjob


def node(job: dict[str, Any] | None = None, **pod: Any) -> dict[str, Any]:
    return runtime(step("node", container(), job=job, pod=pod))


def test_defaults_are_upstreams() -> None:
    plan = plan_of(trainjob())

    only = plan.step("node")
    assert (only.backoff_limit, only.restart_policy, only.active_deadline) == (6, "OnFailure", None)
    assert (plan.max_restarts, plan.success_operator, plan.success_targets) == (None, "All", ())
    assert (plan.active_deadline, plan.ttl, plan.startup_in_order, plan.suspend) == (None, None, False, False)


def test_limits_of_a_step_are_planned_zero_included() -> None:
    plan = plan_of(trainjob(), node({"backoffLimit": 0, "activeDeadlineSeconds": 60}, restartPolicy="Never"))

    only = plan.step("node")
    assert (only.backoff_limit, only.active_deadline, only.restart_policy) == (0, 60, "Never")


def test_exit_rules_keep_their_order() -> None:
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"containerName": "node", "operator": "In", "values": [42]}},
        {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [0, 1]}},
    ]

    plan = plan_of(trainjob(), node({"podFailurePolicy": {"rules": rules}}))

    assert plan.step("node").exit_rules == (
        ExitRule(action="FailJob", operator="In", codes=(42,), container="node"),
        ExitRule(action="Count", operator="NotIn", codes=(0, 1)),
    )
    assert any("onPodConditions" in path for path, _ in plan.warnings)


def test_policies_of_the_jobset_are_planned() -> None:
    jobset = {
        "failurePolicy": {
            "maxRestarts": 2,
            "restartStrategy": "InPlaceRestart",
            "rules": [
                {
                    "name": "stop",
                    "action": "FailJobSet",
                    "onJobFailureReasons": ["PodFailurePolicy"],
                    "onJobFailureMessagePatterns": ["exit code 42"],
                    "targetReplicatedJobs": ["node"],
                }
            ],
        },
        "successPolicy": {"operator": "Any", "targetReplicatedJobs": ["node"]},
        "startupPolicy": {"startupPolicyOrder": "InOrder"},
        "ttlSecondsAfterFinished": 0,
    }

    plan = plan_of(trainjob(activeDeadlineSeconds=90, suspend=True), runtime(jobset=jobset))

    assert plan.max_restarts == 2
    assert plan.failure_rules == (
        FailureRule(
            name="stop",
            action="FailJobSet",
            reasons=("PodFailurePolicy",),
            patterns=("exit code 42",),
            targets=("node",),
        ),
    )
    assert (plan.success_operator, plan.success_targets) == ("Any", ("node",))
    assert (plan.startup_in_order, plan.ttl, plan.active_deadline, plan.suspend) == (True, 0, 90, True)
    assert any(path.endswith("restartStrategy") for path, _ in plan.warnings)


def test_a_failure_policy_without_max_restarts_allows_none() -> None:
    assert plan_of(trainjob(), runtime(jobset={"failurePolicy": {}})).max_restarts == 0


def test_dependencies() -> None:
    runtime_manifest = runtime(
        step("prep", container("prep")), step("node", dependsOn=[{"name": "prep", "status": "Complete"}])
    )

    assert plan_of(trainjob(), runtime_manifest).step("node").after == (
        Dependency(name="prep", status="Complete"),
    )


@pytest.mark.parametrize("field", ["backoffLimitPerIndex", "maxFailedIndexes"])
def test_ignored_limits_per_index_give_a_warning(field: str) -> None:
    plan = plan_of(trainjob(), node({field: 1}))

    assert [path.rpartition(".")[2] for path, _ in plan.warnings] == [field]


def test_completions_other_than_the_parallelism_give_a_warning() -> None:
    runtime_manifest = runtime(
        step("warm", container("warm"), job={"parallelism": 2, "completions": 5}), step("node")
    )

    plan = plan_of(trainjob(), runtime_manifest)

    assert plan.step("warm").count == 2
    assert [path.rpartition(".")[2] for path, _ in plan.warnings] == ["completions"]
