"""A record got back from the sidecar: enough that nothing finished runs again."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from reconciler.state.recovery.record_recovery import recover_record

SIDECAR: dict[str, Any] = yaml.safe_load("""
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: demo, namespace: team, uid: u1, generation: 3, creationTimestamp: '2026-01-01T00:00:00.000Z'}
status:
  phase: Running
  observedGeneration: 2
  attempt: 4
  restarts: 2
  conditions:
  - {type: Suspended, status: 'False', reason: Resumed, message: m, lastTransitionTime: '2026-01-01T00:01:00Z'}
  jobsStatus:
  - {name: prepare, ready: 0, succeeded: 1, failed: 0, active: 0, suspended: 0}
  - {name: node, ready: 1, succeeded: 0, failed: 0, active: 1, suspended: 0}
""")
CREATED = 1767225600.0


def test_identity_counts_and_times_come_back() -> None:
    record = recover_record(SIDECAR)
    assert record is not None
    assert (record.key, record.uid, record.generation, record.observed_generation) == (
        "team/demo",
        "u1",
        3,
        2,
    )
    assert (record.attempt, record.restarts, record.counted_restarts) == (4, 2, 2)
    assert record.created_at == CREATED
    assert record.recovered


def test_conditions_that_are_not_recorded_are_ignored() -> None:
    told = [*SIDECAR["status"]["conditions"], {"type": "SourceReady", "status": "True"}, {"type": "Blocked"}]
    record = recover_record({**SIDECAR, "status": {**SIDECAR["status"], "conditions": told}})
    assert record is not None
    assert [condition.type for condition in record.conditions] == ["Suspended"]


def test_the_deadline_counts_from_the_resume() -> None:
    record = recover_record(SIDECAR)
    assert record is not None
    assert record.clock_from == CREATED + 60


def test_the_ids_of_containers_that_may_have_been_renamed_come_back() -> None:
    nodes = [{"name": "demo-node-0", "containerID": "a", "state": "running"}, {"name": "demo-node-1"}]
    record = recover_record({**SIDECAR, "status": {**SIDECAR["status"], "nodes": nodes}})
    assert record is not None
    assert record.container_ids == ("a",)


def test_finished_steps_do_not_run_again() -> None:
    record = recover_record(SIDECAR)
    assert record is not None
    assert record.steps_done == {"prepare": "succeeded"}


@pytest.mark.parametrize(
    ("told", "recovered"), [({"progressPercentage": 40}, {"progressPercentage": 40}), ("40%", {}), (None, {})]
)
def test_the_trainer_status_comes_back(told: Any, recovered: dict[str, Any]) -> None:
    record = recover_record({**SIDECAR, "status": {**SIDECAR["status"], "trainerStatus": told}})
    assert record is not None
    assert record.trainer_status == recovered


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_how_a_job_ended_comes_back(kind: str) -> None:
    ended = {
        "type": kind,
        "status": "True",
        "reason": "R",
        "message": "M",
        "lastTransitionTime": "2026-01-01T01:00:00Z",
    }
    document = {**SIDECAR, "status": {**SIDECAR["status"], "conditions": [ended]}}
    record = recover_record(document)
    assert record is not None
    assert record.finished
    (condition,) = record.conditions
    assert (condition.reason, condition.message, condition.at) == ("R", "M", CREATED + 3600)


def test_malformed_fields_are_ignored() -> None:
    ended = {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T01:00:00Z"}
    odd = {"failure": {"step": 3}, "events": ["x", {"time": "soon"}], "nodes": ["y", {}], "network": "z"}
    record = recover_record({**SIDECAR, "status": {**SIDECAR["status"], "conditions": [ended], **odd}})
    assert record is not None
    assert (record.failure, record.containers, record.subnet) == (None, {}, "")
    assert [event.reason for event in record.events] == ["Recovered"]


def test_times_may_be_yaml_timestamps() -> None:
    metadata = yaml.safe_load("{name: demo, uid: u1, creationTimestamp: 2026-01-01T00:00:00Z}")
    record = recover_record({"metadata": metadata, "status": {}})
    assert record is not None
    assert (record.namespace, record.created_at) == ("default", CREATED)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"metadata": {"name": "demo"}, "status": {"phase": "Invalid"}},
        {"metadata": {"name": "demo", "uid": "", "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {}},
        {"metadata": {"name": "demo", "uid": "u1", "creationTimestamp": "soon"}, "status": {}},
        {"metadata": {"name": "demo", "uid": "u1", "creationTimestamp": "2026-01-01T00:00:00Z"}},
        {"metadata": "x", "status": []},
    ],
    ids=["empty", "invalid-job", "no-uid", "no-time", "no-status", "nonsense"],
)
def test_an_incomplete_document_recovers_nothing(document: dict[str, Any]) -> None:
    assert recover_record(document) is None


@pytest.mark.parametrize("odd", [-1, True, "3", None, 2.5])
def test_malformed_numbers_are_ignored(odd: Any) -> None:
    record = recover_record({**SIDECAR, "status": {**SIDECAR["status"], "attempt": odd}})
    assert record is not None
    assert record.attempt == 0


def test_malformed_list_entries_are_ignored() -> None:
    status = {**SIDECAR["status"], "conditions": ["x", {"status": "True"}], "jobsStatus": [None, "y"]}
    record = recover_record({**SIDECAR, "status": status})
    assert record is not None
    assert record.conditions == ()
    assert record.steps_done == {}
