"""A job that prints nothing is stalled, but only where its annotation asks for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.statemachine.actions import DumpStacks
from reconciler.controller.statemachine.failures.stall_detection import stall_timeout, stall_timeout_faults
from reconciler.controller.statemachine.observation import Observed
from reconciler.names import ANNOTATION_STALL_TIMEOUT
from tests.controller.timelines import SimulatedJob, node, plan_of


def _running(*, timeout: str = "60", restarts: int | None = None) -> SimulatedJob:
    runtime = {
        "steps": [node(2)],
        "annotations": {ANNOTATION_STALL_TIMEOUT: timeout},
    }
    if restarts is not None:
        runtime["failurePolicy"] = {"maxRestarts": restarts}
    job = SimulatedJob.accepted(plan_of(runtime))
    job.converge()
    for name in list(job.containers):
        job.start(name)
    return job


def _with_activity(job: SimulatedJob, at: dict[str, float]) -> Observed:
    ids = {job.containers[name].id: when for name, when in at.items()}
    return replace(job.observed(), last_output=ids)


def test_one_rank_that_prints_keeps_the_job_alive() -> None:
    job = _running()
    observed = _with_activity(job, {"demo-node-1": 1050.0})

    decision = job.decide(observed, now=1100.0)

    assert not decision.record.finished
    assert decision.requeue_at == 1110.0


def test_silence_of_all_ranks_is_a_failure_with_stack_dumps_before_the_stop() -> None:
    job = _running()

    decision = job.decide(now=1061.0)

    assert decision.record.is_true("Failed")
    assert decision.record.failure is not None
    assert decision.record.failure.reason == "Stalled"
    assert isinstance(decision.actions[0], DumpStacks)
    assert [c.name for c in decision.actions[0].containers] == ["demo-node-0", "demo-node-1"]


def test_a_stall_restarts_the_gang_where_the_policy_allows_it() -> None:
    job = _running(restarts=1)

    decision = job.decide(now=1061.0)

    assert (decision.record.attempt, decision.record.finished) == (1, False)


def test_without_the_annotation_no_job_is_stalled() -> None:
    plan = plan_of({"steps": [node(1)]})
    job = SimulatedJob.accepted(plan)
    job.converge()
    job.start("demo-node-0")

    decision = job.decide(now=1e9)

    assert not decision.record.finished


@pytest.mark.parametrize(("text", "seconds"), [("600", 600.0), ("10m", 600.0), ("0", None), ("soon", None)])
def test_the_annotation_is_a_duration(text: str, seconds: float | None) -> None:
    plan = plan_of({"steps": [node(1)], "annotations": {ANNOTATION_STALL_TIMEOUT: text}})

    assert stall_timeout(plan) == seconds
    assert bool(stall_timeout_faults(plan)) == (text == "soon")
