"""The end of a job is told when its logs are on disk, and not before; it is decided at once all the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.controller.statemachine.decide import DecisionOptions
from reconciler.controller.statemachine.job_end.kept_logs import STOP_LIMIT
from reconciler.controller.statemachine.observation import LogState
from tests.controller.timelines import SimulatedJob, node, simulate

KEEP = DecisionOptions(auto_remove=False)
READING = LogState("reading")
FULL = "The log cannot be written: No space left on device."


def ended(*, log: LogState, options: DecisionOptions | None = None, code: int = 0) -> SimulatedJob:
    """A job of two nodes that has ended; rank 0's log is in that state."""
    job = simulate(node(2, backoffLimit=0), options=options)
    job.start_all()
    job.exit("demo-node-1", 0)
    job.logs["demo-node-0"] = log
    job.exit("demo-node-0", code)
    return job


def told(job: SimulatedJob) -> set[str]:
    """What of the status says that the job has ended."""
    status = job.status()
    ends = {"Complete", "Failed", "AllJobsCompleted", "FailedJobs"}
    words = {status["phase"], *(c["type"] for c in status["conditions"])}
    words |= {e["reason"] for e in status["events"]} | ({"time"} if "completionTime" in status else set())
    return words & (ends | {"time"})


def events(job: SimulatedJob, reason: str) -> list[str]:
    return [event.message for event in job.record.events if event.reason == reason]


@pytest.mark.parametrize("code", [0, 1])
@pytest.mark.parametrize("options", [DecisionOptions(), KEEP])
def test_an_end_is_decided_at_once_and_told_when_the_log_is_whole(
    code: int, options: DecisionOptions
) -> None:
    job = ended(log=READING, options=options, code=code)
    assert job.record.finished
    assert not job.record.admitted
    assert not told(job)
    assert "demo-node-0" in job.containers
    assert "demo-node-0" in job.status()["message"]

    job.logs.clear()
    job.converge()

    assert {"time", "Failed" if code else "Complete"} <= told(job)
    assert ("demo-node-0" in job.containers) == (not options.auto_remove)


def test_other_ranks_are_stopped_at_once_and_the_failure_told_when_they_have_stopped() -> None:
    job = simulate(node(2, backoffLimit=0), options=KEEP)
    job.start_all()
    job.logs["demo-node-1"] = READING
    job.exit("demo-node-1", 1)

    assert job.log[-1] == "stop demo-node-0"
    assert not told(job)


def test_an_end_that_was_told_stays_told() -> None:
    job = ended(log=LogState("whole"), options=KEEP)
    before = told(job)
    job.logs["demo-node-0"] = READING
    job.converge()

    assert told(job) == before
    assert "Complete" in before


@pytest.mark.parametrize("progress", ["lost", "late"])
def test_a_log_that_is_not_waited_for_is_said_once_in_an_event(progress: str) -> None:
    job = ended(log=LogState(progress, FULL))  # type: ignore[arg-type]
    job.converge()

    assert "Complete" in told(job)
    assert len(events(job, "LogIncomplete")) == 1
    assert "demo-node-0" in events(job, "LogIncomplete")[0]
    # What is on a full disk's waiting list keeps its container; what the engine does not give is gone anyway.
    assert ("demo-node-0" in job.containers) == (progress == "late")


def test_a_disk_without_room_is_a_condition_while_it_lasts() -> None:
    job = simulate(node(1))
    job.start_all()
    job.logs["demo-node-0"] = LogState("following", FULL)
    job.converge()
    (condition,) = [c for c in job.status()["conditions"] if c["type"] == "DiskPressure"]
    assert (condition["reason"], condition["message"]) == ("LogWriteFailed", FULL)

    job.logs.clear()
    job.converge()

    assert not [c for c in job.status()["conditions"] if c["type"] == "DiskPressure"]
    assert not events(job, "LogIncomplete")


def test_a_container_that_does_not_stop_holds_the_end_for_a_limited_time() -> None:
    job = simulate(node(2, backoffLimit=0), options=KEEP)
    job.start_all()
    stubborn = job.containers["demo-node-0"]
    job.exit("demo-node-1", 1)
    # The engine says that it stopped it, and it runs.
    job.containers["demo-node-0"] = stubborn
    job.record = job.record.replace(end_pending=True)

    waiting = job.decide()
    assert waiting.record.end_pending
    assert waiting.requeue_at is not None
    late = job.decide(now=waiting.requeue_at)

    assert waiting.requeue_at >= job.now + STOP_LIMIT
    assert not late.record.end_pending
    assert [e.reason for e in late.record.events][-1] == "LogIncomplete"


@pytest.mark.parametrize("suspended", [False, True])
def test_deadline_and_suspension_do_not_change_an_end_that_is_not_told_yet(suspended: bool) -> None:
    job = ended(log=READING, options=KEEP)
    job.plan = replace(job.plan, active_deadline=1.0, suspend=suspended)
    job.now += 100
    job.converge()
    job.logs.clear()
    job.converge()

    assert job.end() == ("Complete", "AllJobsCompleted")


def test_a_restart_in_place_waits_for_the_log_of_the_run_before() -> None:
    job = simulate(node(2, backoffLimit=3, restartPolicy="OnFailure"))
    job.start_all()
    job.logs["demo-node-1"] = READING
    job.exit("demo-node-1", 1)
    job.advance(job.now + 60)
    job.converge()
    assert job.log.count("launch demo-node-1") == 1
    assert "remove demo-node-1" not in job.log

    job.logs.clear()
    job.converge()

    assert job.log[-2:] == ["remove demo-node-1", "launch demo-node-1"]
    assert job.running() == {"demo-node-0"}


def test_a_suspended_job_keeps_containers_until_their_logs_are_whole() -> None:
    job = simulate(node(1))
    job.start_all()
    job.logs["demo-node-0"] = READING
    job.exit("demo-node-0", 1)
    job.plan = replace(job.plan, suspend=True)
    job.converge()
    assert "demo-node-0" in job.containers

    job.logs.clear()
    job.converge()

    assert not job.containers
