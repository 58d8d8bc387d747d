"""How long restarts wait."""

from __future__ import annotations

from reconciler.controller.statemachine.attempts import CONTAINER_BACKOFF, GANG_BACKOFF, backoff


def test_containers_wait_10_20_40_seconds_and_at_most_six_minutes() -> None:
    waits = [backoff(failures, base=CONTAINER_BACKOFF) for failures in range(1, 9)]
    assert waits == [10, 20, 40, 80, 160, 320, 360, 360]


def test_gangs_wait_1_2_4_seconds() -> None:
    assert [backoff(n, base=GANG_BACKOFF) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]


def test_the_back_off_of_very_many_failures_is_six_minutes() -> None:
    assert backoff(10_000, base=CONTAINER_BACKOFF) == 360
