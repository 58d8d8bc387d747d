"""The status as users read it: phases, counts, nodes, messages, times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.api.faults import Fault
from reconciler.controller.statemachine.observation import Observed
from reconciler.controller.statemachine.restart_policy import with_last_words
from reconciler.controller.status.status_builder import Surroundings, invalid, present, stamp
from reconciler.names import RUNTIME_NOT_SUPPORTED
from reconciler.state.record import Problem, Record
from reconciler.state.record_recovery import recover
from tests.controller.timelines import World, plan_of

NODE = {"name": "node", "containers": 2, "backoffLimit": 1}


def world_of(*steps: dict[str, Any], **runtime: Any) -> World:
    world = World.of(plan_of({"steps": list(steps) or [NODE], **runtime}))
    world.converge()
    return world


def test_times_are_utc_to_the_millisecond() -> None:
    assert stamp(1767225600.1234) == "2026-01-01T00:00:00.123Z"


def test_pending_until_something_runs() -> None:
    assert world_of().status()["phase"] == "Pending"


def test_running_when_a_training_container_runs() -> None:
    world = world_of()
    world.start("demo-node-0")
    assert world.status()["phase"] == "Running"


def test_initializing_while_only_initializers_run() -> None:
    world = world_of(
        {"name": "dataset-initializer", "containers": 1},
        {**NODE, "after": [{"name": "dataset-initializer", "status": "Complete"}]},
    )
    world.start_all()
    assert world.status()["phase"] == "Initializing"


def test_restarting_between_two_attempts() -> None:
    world = world_of({**NODE, "backoffLimit": 0}, failurePolicy={"maxRestarts": 1})
    world.start_all()
    world.exit("demo-node-0", 1)
    status = world.status()
    assert status["phase"] == "Restarting"
    assert (status["attempt"], status["restarts"]) == (1, 1)


@pytest.mark.parametrize(("code", "phase"), [(0, "Complete"), (1, "Failed")])
def test_the_end_is_the_phase(code: int, phase: str) -> None:
    world = world_of({"name": "node", "containers": 1, "backoffLimit": 0})
    world.start_all()
    world.exit("demo-node-0", code)
    assert world.status()["phase"] == phase
    assert world.status()["completionTime"] == stamp(1000.0)


def test_suspended_and_queued_say_so() -> None:
    world = world_of()
    queued = world.record.model_copy(
        update={"queued": "Waits for 1 nvidia.com/gpu; position 2 in the queue."}
    )
    told = present(world.plan, world.observed(), queued, Surroundings())["status"]
    assert told["phase"] == "Queued"
    assert "position 2" in told["message"]
    world.plan = replace(world.plan, suspend=True)
    world.converge()
    assert world.status()["phase"] == "Suspended"


def test_a_problem_is_the_message() -> None:
    world = world_of()
    problem = Problem(reason="NameTaken", message="The name is taken.", since=0.0)
    troubled = world.record.model_copy(update={"problem": problem})
    told = present(world.plan, world.observed(), troubled, Surroundings())["status"]
    assert told["message"] == "The name is taken."


def test_nodes_tell_exit_codes_and_states() -> None:
    world = world_of({"name": "node", "containers": 2, "backoffLimit": 3})
    world.start_all()
    world.exit("demo-node-1", 9)
    zero, one = world.status()["nodes"]
    assert (zero["rank"], zero["state"], zero["exitCode"]) == (0, "running", None)
    assert (one["rank"], one["state"], one["exitCode"]) == (1, "restarting", 9)
    assert one["message"] == "exit code 9"

    world.advance(2000.0)
    world.start("demo-node-1")
    _, one = world.status()["nodes"]
    assert (one["state"], one["exitCode"], one["finishedAt"], one["restarts"]) == ("running", None, None, 1)
    assert "message" not in one


def test_nodes_name_their_devices_and_logs() -> None:
    world = world_of({"name": "node", "containers": 1})
    held = world.record.model_copy(update={"devices": {"demo-node-0": {"nvidia.com/gpu": ("1", "0")}}})
    (node,) = present(world.plan, world.observed(), held, Surroundings(log_dir="/logs"))["status"]["nodes"]
    assert node["devices"] == ["nvidia.com/gpu=0", "nvidia.com/gpu=1"]
    assert node["log"] == "/logs/default/demo/0/demo-node-0.log"


def test_counts_are_of_steps_as_upstream_counts_jobs() -> None:
    world = world_of(
        {"name": "prepare", "containers": 1},
        {**NODE, "after": [{"name": "prepare", "status": "Complete"}]},
    )
    world.start_all()
    world.exit("demo-prepare-0", 0)
    world.start_all()
    assert world.status()["jobsStatus"] == [
        {"name": "prepare", "ready": 0, "succeeded": 1, "failed": 0, "active": 0, "suspended": 0},
        {"name": "node", "ready": 1, "succeeded": 0, "failed": 0, "active": 1, "suspended": 0},
    ]


def test_a_lost_record_is_recovered_with_all_that_the_status_told_of_the_end() -> None:
    world = world_of({**NODE, "backoffLimit": 0})
    world.start_all()
    world.exit("demo-node-1", 3)
    world.converge()
    around = Surroundings(log_dir="/logs")
    held = {"demo-node-0": {"nvidia.com/gpu": ("0", "1")}}
    known = world.record.model_copy(update={"devices": held, "subnet": "10.1.0.0/24"})
    before = present(world.plan, world.observed(), with_last_words(known, ("boom",)), around)
    assert before["status"]["phase"] == "Failed"

    record = recover(before)

    assert record is not None
    after = present(world.plan, Observed(), record, around)
    recovered = after["status"]["events"].pop()
    assert recovered["reason"] == "Recovered"
    assert after == before


def test_a_refused_change_and_faults_of_the_file_are_errors_beside_the_status() -> None:
    world = world_of()
    world.start_all()
    refused = world.record.model_copy(
        update={
            "rejected": "spec.trainer cannot be changed",
            "rejected_path": "spec.trainer",
            "rejected_at": 60.0,
            "file": "demo.yaml",
        }
    )
    fault = Fault(file="demo.yaml", line=4, path="spec", message="wrong")
    told = present(world.plan, world.observed(), refused, Surroundings(faults=(fault,)))["status"]
    assert told["phase"] == "Running"
    assert [e["message"] for e in told["errors"]] == ["wrong", "spec.trainer cannot be changed"]
    assert [(e["file"], e["path"]) for e in told["errors"]] == [
        ("demo.yaml", "spec"),
        ("demo.yaml", "spec.trainer"),
    ]
    assert told["conditions"] == [
        {
            "type": "UpdateRefused",
            "status": "True",
            "reason": "FieldImmutable",
            "message": "spec.trainer cannot be changed",
            "lastTransitionTime": "1970-01-01T00:01:00.000Z",
        }
    ]


def test_a_name_that_is_taken_is_a_condition_while_it_is() -> None:
    world = world_of()
    problem = Problem(reason="NameTaken", message="demo-net belongs to somebody else", since=60.0)
    held = world.record.model_copy(update={"problem": problem})
    told = present(world.plan, world.observed(), held, Surroundings())["status"]
    assert told["conditions"] == [
        {
            "type": "Blocked",
            "status": "True",
            "reason": "NameTaken",
            "message": "demo-net belongs to somebody else",
            "lastTransitionTime": "1970-01-01T00:01:00.000Z",
        }
    ]
    # Upstream has none for what else a job may wait for, nor has a script that knows upstream's.
    problem = Problem(reason="RuntimeNotFound", message="it is not there", since=60.0)
    for record in (world.record, world.record.model_copy(update={"problem": problem})):
        assert present(world.plan, world.observed(), record, Surroundings())["status"]["conditions"] == []


@pytest.mark.parametrize("reason", ["RuntimeNotFound", "ImageUnavailable", "ConfigurationMissing"])
def test_what_a_cluster_has_no_condition_for_is_told_in_the_message(reason: str) -> None:
    world = world_of()
    problem = Problem(reason=reason, message="it is not there", since=60.0)
    held = world.record.model_copy(update={"problem": problem})
    told = present(world.plan, world.observed(), held, Surroundings())["status"]
    assert (told["conditions"], told["message"]) == ([], "it is not there")


def test_without_a_plan_a_job_is_pending_and_keeps_its_conditions() -> None:
    record = Record(namespace="default", name="demo", uid="u1", created_at=0.0)
    record = record.with_event("RuntimeNotFound", "no runtime", now=1.0)
    told = present(None, None, record, Surroundings())
    assert told["metadata"]["uid"] == "u1"
    assert told["status"]["phase"] == "Pending"
    assert told["status"]["events"][0]["reason"] == "RuntimeNotFound"


def test_an_invalid_object_tells_its_faults_and_has_no_uid() -> None:
    fault = Fault(file="demo.yaml", line=4, path="spec", message="wrong")
    told = invalid("TrainJob", "default", "demo", [fault])
    assert "uid" not in told["metadata"]
    assert told["status"]["phase"] == "Invalid"
    assert told["status"]["errors"] == [{"file": "demo.yaml", "line": 4, "path": "spec", "message": "wrong"}]


def test_a_runtime_of_an_unknown_kind_is_upstreams_failed_condition() -> None:
    fault = Fault(
        file="d.yaml", line=4, path="spec.runtimeRef.kind", message="no", reason=RUNTIME_NOT_SUPPORTED
    )
    told = invalid("TrainJob", "default", "demo", [fault], now=1.0)
    (condition,) = told["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("Failed", "True")
    assert condition["reason"] == "TrainingRuntimeNotSupported"


def test_an_event_told_again_shows_how_often() -> None:
    record = Record(namespace="default", name="demo", uid="u1", created_at=0.0)
    for now in (1.0, 2.0):
        record = record.with_event("BackOff", "again", now=now)
    (event,) = present(None, None, record, Surroundings())["status"]["events"]
    assert event["count"] == 2
