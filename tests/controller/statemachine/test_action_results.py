"""From how an action went to the record."""

from __future__ import annotations

from reconciler.controller.statemachine.action_results import LAST_RETRY, note, trouble
from reconciler.controller.statemachine.actions import Outcome, Started
from reconciler.engines.protocol import ContainerState, ExitFacts
from reconciler.names import LABEL_ATTEMPT, LABEL_RESTART, LABEL_UID
from reconciler.state.record import Record


def record() -> Record:
    return Record(namespace="default", name="demo", uid="u1", created_at=0.0)


def stopped(code: int | None, *, attempt: int = 0) -> ContainerState:
    labels = {LABEL_UID: "u1", LABEL_ATTEMPT: str(attempt), LABEL_RESTART: "0"}
    facts = ExitFacts(code=code, finished_at=50.0)
    return ContainerState(id="c1", name="demo-node-0", labels=labels, image="i", state="exited", exit=facts)


def test_a_start_is_remembered_and_told() -> None:
    noted = note(record(), Outcome(started=(Started(name="demo-node-0", id="c1", ip="10.0.0.2"),)), 9.0)
    known = noted.container("demo-node-0")
    assert (known.container_id, known.ip, known.started_at) == ("c1", "10.0.0.2", 9.0)
    assert noted.events[-1].reason == "Started"


def test_a_start_ends_a_problem() -> None:
    troubled = trouble(record(), "EngineError", "no", now=1.0)
    noted = note(troubled, Outcome(started=(Started(name="demo-node-0", id="c1", ip=""),)), 2.0)
    assert noted.problem is None


def test_a_refused_start_waits_to_be_settled() -> None:
    noted = note(record(), Outcome(failed=(("demo-node-0", "no such file"),)), 9.0)
    assert noted.container("demo-node-0").start_error == "no such file"
    assert noted.events[-1].type == "Warning"


def test_admission_brings_devices_and_ends_the_queueing() -> None:
    waiting = note(record(), Outcome(waiting="Waits for 1 nvidia.com/gpu"), 1.0)
    assert waiting.queued
    devices = {"demo-node-0": {"nvidia.com/gpu": ("0",)}}
    admitted = note(waiting, Outcome(admitted=devices), 2.0)
    assert admitted.admitted
    assert admitted.devices == devices
    assert admitted.queued == ""


def test_a_changing_place_in_the_queue_is_one_event() -> None:
    waiting = record()
    for place in (3, 2, 1):
        waiting = note(waiting, Outcome(waiting=f"position {place}"), 1.0)
    assert [e.reason for e in waiting.events] == ["Queued"]
    assert waiting.queued == "position 1"


def test_the_same_problem_is_told_once_and_tried_less_and_less_often() -> None:
    troubled, waits, now = record(), [], 100.0
    for _ in range(9):
        troubled = trouble(troubled, "NameTaken", "taken", now=now)
        assert troubled.problem is not None
        waits.append(troubled.problem.retry_at - now)
        now = troubled.problem.retry_at
    assert waits == [1, 2, 4, 8, 16, 32, LAST_RETRY, LAST_RETRY, LAST_RETRY]
    assert [e.reason for e in troubled.events] == ["NameTaken"]


def test_a_problem_met_again_before_its_time_is_no_further_try() -> None:
    troubled = trouble(record(), "ImageUnavailable", "no", now=100.0)
    assert trouble(troubled, "ImageUnavailable", "no", now=100.5) == troubled


def test_another_problem_starts_from_the_beginning() -> None:
    troubled = trouble(record(), "NameTaken", "taken", now=1.0)
    troubled = trouble(troubled, "NameTaken", "taken", now=2.5)
    troubled = trouble(troubled, "EngineError", "down", now=3.0)
    assert troubled.problem is not None
    assert (troubled.problem.count, troubled.problem.since) == (1, 3.0)


def test_what_is_stopped_with_its_job_keeps_how_it_ended() -> None:
    ended = record().with_container("demo-node-0", container_id="c1")
    ended = ended.with_condition("Complete", "True", "AllJobsCompleted", "", now=1.0)
    noted = note(ended, Outcome(ended=(stopped(143),)), 60.0)
    result = noted.container("demo-node-0").result
    assert result is not None
    assert (result.reason, result.code, result.finished_at) == ("Stopped", 143, 50.0)


def test_a_container_of_an_earlier_attempt_says_nothing_about_this_one() -> None:
    ended = record().with_container("demo-node-0", container_id="c1")
    ended = ended.with_condition("Complete", "True", "AllJobsCompleted", "", now=1.0)
    noted = note(ended, Outcome(ended=(stopped(143, attempt=4),)), 60.0)
    assert noted.container("demo-node-0").result is None


def test_a_stop_while_the_job_goes_on_is_left_to_settling() -> None:
    going = record().with_container("demo-node-0", container_id="c1")
    assert note(going, Outcome(ended=(stopped(0),)), 60.0) == going
