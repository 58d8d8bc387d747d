"""Which records cannot be the ones that they are stored as."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.state.record import (
    Condition,
    ContainerRecord,
    ExitRecord,
    Failure,
    Problem,
    Record,
    Timeline,
)
from reconciler.state.record_events import EventRecord
from reconciler.state.recovery.record_check import check_record

NOW = 1_800_000_000.0
JOB = {"kind": "TrainJob", "metadata": {"name": "demo"}, "spec": {}}


def record(**fields: Any) -> Record:
    return Record(**({"namespace": "default", "name": "demo", "uid": "u-1", "created_at": NOW - 60} | fields))


def full() -> Record:
    return record(
        job=JOB,
        runtime={"kind": "ClusterTrainingRuntime", "spec": {}},
        containers={"a": ContainerRecord(restart=2, not_before=NOW + 360, started_at=NOW)},
        steps_done={"node": "succeeded"},
        conditions=(Condition(type="Complete", status="True", reason="", message="", at=NOW),),
        events=(EventRecord(at=NOW, reason="Started", message=""),),
        problem=Problem(reason="x", message="", since=NOW, retry_at=NOW + 300),
        share={"cpu": 4.0, "memory": 1e15},
        timeline=Timeline(boot="b", ahead=NOW - 5000),
        failure=Failure(step="node", container="a", code=-9, at=NOW, rank=0),
        subnet="10.89.0.0/24",
        gateway="10.89.0.1",
        port=29500,
        priority=-5,
    )


def test_a_record_as_the_daemon_writes_it_has_no_fault() -> None:
    assert check_record("default/demo", full(), now=NOW) == ""


def test_clocks_that_were_set_are_no_fault() -> None:
    """A host without a battery starts in 1970; its jobs' records are from its better days."""
    assert check_record("default/demo", full(), now=0.0) == ""
    assert check_record("default/demo", record(created_at=0.0, clock_from=10.0), now=NOW) == ""


@pytest.mark.parametrize("key", ["default/other", "team/demo", "default/demo2"])
def test_a_record_of_another_key_is_named(key: str) -> None:
    assert check_record(key, full(), now=NOW) == "it is the record of 'default/demo'"


@pytest.mark.parametrize("moment", [-1.0, 1e308, float("nan"), float("inf"), float("-inf"), 99_999 * 3.2e7])
@pytest.mark.parametrize(
    "make",
    [
        lambda at: record(created_at=at),
        lambda at: record(clock_from=at),
        lambda at: record(started_at=at),
        lambda at: record(finished_at=at),
        lambda at: record(progress_at=at),
        lambda at: record(attempt_not_before=at),
        lambda at: record(step_started={"node": at}),
        lambda at: record(timeline=Timeline(boot="b", ahead=at)),
        lambda at: record(events=(EventRecord(at=at, reason="", message=""),)),
        lambda at: record(conditions=(Condition(type="", status="", reason="", message="", at=at),)),
        lambda at: record(containers={"a": ContainerRecord(not_before=at)}),
        lambda at: record(containers={"a": ContainerRecord(started_at=at)}),
        lambda at: record(containers={"a": ContainerRecord(result=ExitRecord(finished_at=at))}),
        lambda at: record(problem=Problem(reason="", message="", since=NOW, retry_at=at)),
        lambda at: record(failure=Failure(step="", container="", at=at)),
    ],
)
def test_no_moment_is_absurd_wherever_it_is(make: Any, moment: float) -> None:
    assert check_record("default/demo", make(moment), now=NOW) != ""


@pytest.mark.parametrize(
    "changed",
    [
        {"attempt_not_before": NOW + 40 * 86_400},
        {"containers": {"a": ContainerRecord(not_before=NOW + 40 * 86_400)}},
        {"problem": Problem(reason="", message="", since=NOW, retry_at=NOW + 40 * 86_400)},
        {"uid": ""},
        {"uid": "../../x"},
        {"attempt": -1},
        {"attempt": 10**30},
        {"restarts": -1},
        {"generation": -1},
        {"step_failures": {"node": -1}},
        {"containers": {"a": ContainerRecord(restart=-1)}},
        {"share": {"cpu": float("nan")}},
        {"job": {**JOB, "metadata": {"name": "other"}}},
        {"job": {**JOB, "metadata": {"name": "demo", "namespace": "team"}}},
        {"job": {**JOB, "metadata": 7}},
        {"job": {**JOB, "kind": "Pod"}},
        {"job": {"kind": "TrainJob", "metadata": {"name": "demo"}}},
        {"runtime": {"kind": "ClusterTrainingRuntime"}},
        {"steps_done": {"node": "maybe"}},
        {"subnet": "all of it"},
        {"gateway": "here"},
        {"port": 70_000},
        {"file": "/specs/a\0b.yaml"},
    ],
)
def test_what_no_daemon_writes_is_a_fault(changed: dict[str, Any]) -> None:
    assert check_record("default/demo", full().replace(**changed), now=NOW) != ""
