"""Exits that are observed: results are recorded once, under the run they belong to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.statemachine.exits import describe_exit_code, observe_exits
from reconciler.engines.protocol import ExitFacts
from tests.controller.timelines import SimulatedJob, node, plan_of


def running_job(containers: int = 1, backoff: int = 3) -> SimulatedJob:
    job = SimulatedJob.accepted(plan_of({"steps": [node(containers, backoffLimit=backoff)]}))
    job.converge()
    for name in list(job.containers):
        job.start(name)
    return job


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
def test_exit_codes_are_described(code: int | None, words: str) -> None:
    assert describe_exit_code(code) == words


def test_an_out_of_memory_kill_is_named_whatever_the_code() -> None:
    assert describe_exit_code(137, oom_killed=True).startswith("OOMKilled")


def test_a_container_that_vanished_has_failed() -> None:
    job = running_job()
    job.vanish("demo-node-0")
    last = job.record.container("demo-node-0").last_result
    assert last is not None
    assert (last.code, last.reason) == (None, "Removed")


def test_a_container_that_vanished_before_its_start_is_created_again() -> None:
    job = SimulatedJob.accepted(plan_of({"steps": [node(1, backoffLimit=0)]}))
    job.converge()
    name = "demo-node-0"
    known = job.record.with_container(name, container_id="gone", started_at=None)

    record, exits = observe_exits(job.plan, replace(job.observed(), containers=()), known, job.now)

    assert exits == ()
    assert record.container(name).result is None


def test_a_result_outlives_its_container() -> None:
    job = running_job(containers=2)
    job.exit("demo-node-0", 0)
    job.containers.pop("demo-node-0")
    job.converge()
    result = job.record.container("demo-node-0").result
    assert result is not None
    assert result.code == 0
    assert job.running() == {"demo-node-1"}


def test_an_exit_is_observed_once() -> None:
    job = running_job(containers=2)
    state = job.containers["demo-node-0"]
    job.containers["demo-node-0"] = replace(state, state="exited", exit=ExitFacts(code=0, finished_at=5.0))
    record, first = observe_exits(job.plan, job.observed(), job.record, job.now)
    _, second = observe_exits(job.plan, job.observed(), record, job.now)
    assert len(first) == 1
    assert second == ()


def test_exits_are_ordered_by_time() -> None:
    job = running_job(containers=3)
    for name, at in (("demo-node-0", 30.0), ("demo-node-1", 10.0), ("demo-node-2", 20.0)):
        state = job.containers[name]
        job.containers[name] = replace(state, state="exited", exit=ExitFacts(code=1, finished_at=at))
    _, exits = observe_exits(job.plan, job.observed(), job.record, job.now)
    assert [end.pod.rank for end in exits] == [1, 2, 0]


def test_an_exit_without_facts_is_a_failure() -> None:
    job = running_job()
    job.containers["demo-node-0"] = replace(job.containers["demo-node-0"], state="exited")
    record, (exit_,) = observe_exits(job.plan, job.observed(), job.record, job.now)
    assert exit_.result.reason == "Unknown"
    assert not exit_.result.succeeded
    assert record.container("demo-node-0").result is not None


def test_a_failed_start_is_kubernetes_start_error() -> None:
    job = running_job()
    record = job.record.with_container("demo-node-0", start_error="no such command")
    _, (exit_,) = observe_exits(job.plan, job.observed(), record, job.now)
    assert (exit_.result.code, exit_.result.reason) == (128, "StartError")


def test_no_container_ends_before_it_started() -> None:
    job = running_job(containers=2)
    noted = job.record.with_container("demo-node-0", started_at=7.0)
    state = job.containers["demo-node-0"]
    job.containers["demo-node-0"] = replace(state, state="exited", exit=ExitFacts(code=0, finished_at=5.0))
    record, _ = observe_exits(job.plan, job.observed(), noted, job.now)
    assert record.container("demo-node-0").started_at == 5.0
