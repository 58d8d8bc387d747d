"""The status as users read it: phases, counts, nodes, messages, times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.api.faults import Fault
from reconciler.controller.statemachine.failures.failure_policy import add_log_tail
from reconciler.controller.statemachine.observation import Observed
from reconciler.controller.status.status_builder import StatusContext, build_status
from reconciler.names import RUNTIME_NOT_SUPPORTED
from reconciler.state.record import Problem, Record
from reconciler.state.recovery.record_recovery import recover_record
from reconciler.state.status_documents import invalid_document
from reconciler.state.timestamps import format_time
from tests.controller.timelines import node, simulate

NODE = node(2, backoffLimit=1)


def test_times_are_utc_to_the_millisecond() -> None:
    assert format_time(1767225600.1234) == "2026-01-01T00:00:00.123Z"


def test_pending_until_something_runs() -> None:
    assert simulate(NODE).status()["phase"] == "Pending"


def test_running_when_a_training_container_runs() -> None:
    job = simulate(NODE)
    job.start("demo-node-0")
    assert job.status()["phase"] == "Running"


def test_initializing_while_only_initializers_run() -> None:
    job = simulate(
        {"name": "dataset-initializer", "containers": 1},
        {**NODE, "after": [{"name": "dataset-initializer", "status": "Complete"}]},
    )
    job.start_all()
    assert job.status()["phase"] == "Initializing"


def test_restarting_between_two_attempts() -> None:
    job = simulate({**NODE, "backoffLimit": 0}, failurePolicy={"maxRestarts": 1})
    job.start_all()
    job.exit("demo-node-0", 1)
    status = job.status()
    assert status["phase"] == "Restarting"
    assert (status["attempt"], status["restarts"]) == (1, 1)


@pytest.mark.parametrize(("code", "phase"), [(0, "Complete"), (1, "Failed")])
def test_the_end_is_the_phase(code: int, phase: str) -> None:
    job = simulate(node(1, backoffLimit=0))
    job.start_all()
    job.exit("demo-node-0", code)
    assert job.status()["phase"] == phase
    assert job.status()["completionTime"] == format_time(1000.0)


def test_suspended_and_queued_jobs() -> None:
    job = simulate(NODE)
    queued = job.record.model_copy(update={"queued": "Waits for 1 nvidia.com/gpu; position 2 in the queue."})
    status = build_status(job.plan, job.observed(), queued, StatusContext())["status"]
    assert status["phase"] == "Queued"
    assert "position 2" in status["message"]
    job.plan = replace(job.plan, suspend=True)
    job.converge()
    assert job.status()["phase"] == "Suspended"


def test_a_problem_is_the_message() -> None:
    job = simulate(NODE)
    problem = Problem(reason="NameTaken", message="The name is taken.", since=0.0)
    troubled = job.record.model_copy(update={"problem": problem})
    status = build_status(job.plan, job.observed(), troubled, StatusContext())["status"]
    assert status["message"] == "The name is taken."


def test_nodes_show_exit_codes_and_states() -> None:
    job = simulate(node(2, backoffLimit=3))
    job.start_all()
    job.exit("demo-node-1", 9)
    zero, one = job.status()["nodes"]
    assert (zero["rank"], zero["state"], zero["exitCode"]) == (0, "running", None)
    assert (one["rank"], one["state"], one["exitCode"]) == (1, "restarting", 9)
    assert one["message"] == "exit code 9"

    job.advance(2000.0)
    job.start("demo-node-1")
    _, one = job.status()["nodes"]
    assert (one["state"], one["exitCode"], one["finishedAt"], one["restarts"]) == ("running", None, None, 1)
    assert "message" not in one


def test_nodes_show_devices_and_logs() -> None:
    job = simulate(node(1))
    held = job.record.model_copy(update={"devices": {"demo-node-0": {"nvidia.com/gpu": ("1", "0")}}})
    (shown,) = build_status(job.plan, job.observed(), held, StatusContext(log_dir="/logs"))["status"]["nodes"]
    assert shown["devices"] == ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]
    assert shown["log"] == "/logs/default/demo/0/demo-node-0.log"


def test_counts_are_of_steps_as_upstream_counts_jobs() -> None:
    job = simulate(
        {"name": "prepare", "containers": 1},
        {**NODE, "after": [{"name": "prepare", "status": "Complete"}]},
    )
    job.start_all()
    job.exit("demo-prepare-0", 0)
    job.start_all()
    assert job.status()["jobsStatus"] == [
        {"name": "prepare", "ready": 0, "succeeded": 1, "failed": 0, "active": 0, "suspended": 0},
        {"name": "node", "ready": 1, "succeeded": 0, "failed": 0, "active": 1, "suspended": 0},
    ]


def test_a_lost_record_is_recovered_with_all_that_the_status_shows_of_the_end() -> None:
    job = simulate({**NODE, "backoffLimit": 0})
    job.start_all()
    job.exit("demo-node-1", 3)
    job.converge()
    around = StatusContext(log_dir="/logs")
    held = {"demo-node-0": {"nvidia.com/gpu": ("0", "1")}}
    known = job.record.model_copy(update={"devices": held, "subnet": "10.1.0.0/24"})
    before = build_status(job.plan, job.observed(), add_log_tail(known, ("boom",)), around)
    assert before["status"]["phase"] == "Failed"

    record = recover_record(before)

    assert record is not None
    after = build_status(job.plan, Observed(), record, around)
    recovered = after["status"]["events"].pop()
    assert recovered["reason"] == "Recovered"
    assert after == before


def test_a_refused_change_and_faults_of_the_file_are_errors_beside_the_status() -> None:
    job = simulate(NODE)
    job.start_all()
    refused = job.record.model_copy(
        update={
            "rejected": "spec.trainer cannot be changed",
            "rejected_path": "spec.trainer",
            "rejected_at": 60.0,
            "file": "demo.yaml",
        }
    )
    fault = Fault(file="demo.yaml", line=4, path="spec", message="wrong")
    status = build_status(job.plan, job.observed(), refused, StatusContext(faults=(fault,)))["status"]
    assert status["phase"] == "Running"
    assert [e["message"] for e in status["errors"]] == ["wrong", "spec.trainer cannot be changed"]
    assert [(e["file"], e["path"]) for e in status["errors"]] == [
        ("demo.yaml", "spec"),
        ("demo.yaml", "spec.trainer"),
    ]
    assert status["conditions"] == [
        {
            "type": "UpdateRefused",
            "status": "True",
            "reason": "FieldImmutable",
            "message": "spec.trainer cannot be changed",
            "lastTransitionTime": "1970-01-01T00:01:00.000Z",
        }
    ]


@pytest.mark.parametrize(("kind", "reason"), [("Blocked", "NameTaken"), ("EngineFailing", "EngineError")])
def test_what_blocks_a_job_is_a_condition_while_it_lasts(kind: str, reason: str) -> None:
    job = simulate(NODE)
    problem = Problem(reason=reason, message="demo-net belongs to somebody else", since=60.0)
    held = job.record.model_copy(update={"problem": problem})
    status = build_status(job.plan, job.observed(), held, StatusContext())["status"]
    assert status["conditions"] == [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": "demo-net belongs to somebody else",
            "lastTransitionTime": "1970-01-01T00:01:00.000Z",
        }
    ]
    # Upstream has none for what else a job may wait for, nor has a script that knows upstream's.
    problem = Problem(reason="RuntimeNotFound", message="it is not there", since=60.0)
    for record in (job.record, job.record.model_copy(update={"problem": problem})):
        assert build_status(job.plan, job.observed(), record, StatusContext())["status"]["conditions"] == []


@pytest.mark.parametrize("reason", ["RuntimeNotFound", "ImageUnavailable", "ConfigurationMissing"])
def test_a_problem_without_upstream_condition_is_the_message(reason: str) -> None:
    job = simulate(NODE)
    problem = Problem(reason=reason, message="it is not there", since=60.0)
    held = job.record.model_copy(update={"problem": problem})
    status = build_status(job.plan, job.observed(), held, StatusContext())["status"]
    assert (status["conditions"], status["message"]) == ([], "it is not there")


def test_without_a_plan_a_job_is_pending_and_keeps_its_conditions() -> None:
    record = Record(namespace="default", name="demo", uid="u1", created_at=0.0)
    record = record.with_event("RuntimeNotFound", "no runtime", now=1.0)
    status = build_status(None, None, record, StatusContext())
    assert status["metadata"]["uid"] == "u1"
    assert status["status"]["phase"] == "Pending"
    assert status["status"]["events"][0]["reason"] == "RuntimeNotFound"


def test_an_invalid_object_shows_its_faults_and_has_no_uid() -> None:
    fault = Fault(file="demo.yaml", line=4, path="spec", message="wrong")
    status = invalid_document("TrainJob", "default", "demo", [fault])
    assert "uid" not in status["metadata"]
    assert status["status"]["phase"] == "Invalid"
    assert status["status"]["errors"] == [
        {"file": "demo.yaml", "line": 4, "path": "spec", "message": "wrong"}
    ]


def test_a_runtime_of_an_unknown_kind_is_upstreams_failed_condition() -> None:
    fault = Fault(
        file="d.yaml", line=4, path="spec.runtimeRef.kind", message="no", reason=RUNTIME_NOT_SUPPORTED
    )
    status = invalid_document("TrainJob", "default", "demo", [fault], now=1.0)
    (condition,) = status["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("Failed", "True")
    assert condition["reason"] == "TrainingRuntimeNotSupported"


def test_a_repeated_event_shows_its_count() -> None:
    record = Record(namespace="default", name="demo", uid="u1", created_at=0.0)
    for now in (1.0, 2.0):
        record = record.with_event("BackOff", "again", now=now)
    (event,) = build_status(None, None, record, StatusContext())["status"]["events"]
    assert event["count"] == 2
