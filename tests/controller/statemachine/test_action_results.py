"""What the record keeps of how an action went, and of problems."""

from __future__ import annotations

from reconciler.controller.scheduler.capacity import Allocation
from reconciler.controller.statemachine.action_results import apply_action_result
from reconciler.controller.statemachine.actions import ActionResult, Started
from reconciler.controller.statemachine.attempts import record_problem
from reconciler.engines.protocol import ContainerState, ExitFacts
from reconciler.names import LABEL_ATTEMPT, LABEL_RESTART, LABEL_UID
from reconciler.state.record import Record


def record() -> Record:
    return Record(namespace="default", name="demo", uid="u1", created_at=0.0)


def queued(why: str) -> ActionResult:
    return ActionResult(allocation=Allocation(waiting=why))


def stopped(code: int | None, *, attempt: int = 0) -> ContainerState:
    labels = {LABEL_UID: "u1", LABEL_ATTEMPT: str(attempt), LABEL_RESTART: "0"}
    facts = ExitFacts(code=code, finished_at=50.0)
    return ContainerState(id="c1", name="demo-node-0", labels=labels, state="exited", exit=facts)


def test_a_start_is_recorded_and_an_event() -> None:
    after = apply_action_result(
        record(), ActionResult(started=(Started(name="demo-node-0", id="c1", ip="10.0.0.2"),)), 9.0
    )
    known = after.container("demo-node-0")
    assert (known.container_id, known.ip, known.started_at) == ("c1", "10.0.0.2", 9.0)
    assert after.events[-1].reason == "Started"


def test_a_start_ends_a_problem() -> None:
    blocked = record_problem(record(), "EngineError", "no", now=1.0)
    after = apply_action_result(
        blocked, ActionResult(started=(Started(name="demo-node-0", id="c1", ip=""),)), 2.0
    )
    assert after.problem is None


def test_a_failed_start_is_recorded_until_its_exit_is_observed() -> None:
    after = apply_action_result(
        record(), ActionResult(start_failures=(("demo-node-0", "no such file"),)), 9.0
    )
    assert after.container("demo-node-0").start_error == "no such file"
    assert after.events[-1].type == "Warning"


def test_admission_assigns_devices_and_ends_the_wait() -> None:
    waiting = apply_action_result(record(), queued("Waits for 1 nvidia.com/gpu"), 1.0)
    assert waiting.queued
    devices = {"demo-node-0": {"nvidia.com/gpu": ("0",)}}
    admitted = apply_action_result(waiting, ActionResult(allocation=Allocation(devices=devices)), 2.0)
    assert admitted.admitted
    assert admitted.devices == devices
    assert admitted.queued == ""


def test_a_changing_place_in_the_queue_is_one_event() -> None:
    waiting = record()
    for place in (3, 2, 1):
        waiting = apply_action_result(waiting, queued(f"position {place}"), 1.0)
    assert [e.reason for e in waiting.events] == ["Queued"]
    assert waiting.queued == "position 1"


def test_a_container_stopped_with_its_job_keeps_its_result() -> None:
    ended = record().with_container("demo-node-0", container_id="c1")
    ended = ended.with_condition("Complete", "True", "AllJobsCompleted", "", now=1.0)
    after = apply_action_result(ended, ActionResult(stopped=(stopped(143),)), 60.0)
    result = after.container("demo-node-0").result
    assert result is not None
    assert (result.reason, result.code, result.finished_at) == ("Stopped", 143, 50.0)


def test_the_exit_of_an_earlier_attempts_container_is_not_recorded() -> None:
    ended = record().with_container("demo-node-0", container_id="c1")
    ended = ended.with_condition("Complete", "True", "AllJobsCompleted", "", now=1.0)
    after = apply_action_result(ended, ActionResult(stopped=(stopped(143, attempt=4),)), 60.0)
    assert after.container("demo-node-0").result is None


def test_a_stop_while_the_job_goes_on_is_left_to_observing_exits() -> None:
    going = record().with_container("demo-node-0", container_id="c1")
    assert apply_action_result(going, ActionResult(stopped=(stopped(0),)), 60.0) == going
