"""How long restarts and problems wait."""

from __future__ import annotations

from reconciler.controller.statemachine.actions import ENGINE_BUSY
from reconciler.controller.statemachine.attempts import (
    CONTAINER_BACKOFF,
    GANG_BACKOFF,
    PROBLEM_LIMIT,
    backoff,
    record_problem,
)
from reconciler.state.record import Record


def blank() -> Record:
    return Record(namespace="default", name="demo", uid="u1", created_at=0.0)


def test_containers_wait_10_20_40_seconds_and_at_most_six_minutes() -> None:
    waits = [backoff(failures, base=CONTAINER_BACKOFF) for failures in range(1, 9)]
    assert waits == [10, 20, 40, 80, 160, 320, 360, 360]


def test_gangs_wait_1_2_4_seconds() -> None:
    assert [backoff(n, base=GANG_BACKOFF) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]


def test_the_back_off_of_very_many_failures_is_six_minutes() -> None:
    assert backoff(10_000, base=CONTAINER_BACKOFF) == 360


def test_the_same_problem_is_one_event_and_tried_less_and_less_often() -> None:
    blocked, waits, now = blank(), [], 100.0
    for _ in range(9):
        blocked = record_problem(blocked, "NameTaken", "taken", now=now)
        assert blocked.problem is not None
        waits.append(blocked.problem.retry_at - now)
        now = blocked.problem.retry_at
    assert waits == [1, 2, 4, 8, 16, 32, PROBLEM_LIMIT, PROBLEM_LIMIT, PROBLEM_LIMIT]
    assert [e.reason for e in blocked.events] == ["NameTaken"]


def test_a_problem_reported_before_its_retry_is_no_further_try() -> None:
    blocked = record_problem(blank(), "ImageUnavailable", "no", now=100.0)
    assert record_problem(blocked, "ImageUnavailable", "no", now=100.5) == blocked


def test_a_busy_engine_is_tried_again_soon_and_is_one_event_whatever_it_says() -> None:
    blocked, waits, now = blank(), [], 100.0
    for number in range(12):
        blocked = record_problem(blocked, ENGINE_BUSY, f"taken by container {number}", now=now)
        assert blocked.problem is not None
        assert blocked.problem.message == f"taken by container {number}"
        waits.append(round(blocked.problem.retry_at - now, 3))
        now = blocked.problem.retry_at
    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == PROBLEM_LIMIT
    assert [e.reason for e in blocked.events] == [ENGINE_BUSY]


def test_another_problem_starts_its_back_off_anew() -> None:
    blocked = record_problem(blank(), "NameTaken", "taken", now=1.0)
    blocked = record_problem(blocked, "NameTaken", "taken", now=2.5)
    blocked = record_problem(blocked, "EngineError", "down", now=3.0)
    assert blocked.problem is not None
    assert (blocked.problem.count, blocked.problem.since) == (1, 3.0)
