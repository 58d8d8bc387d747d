"""Who hangs and who only takes long, on a clock of the test's own; threads are real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from reconciler.common.liveness import MARGIN, WITHOUT_LIMIT, Liveness, allow
from reconciler.controller.thread_pool import DaemonPool


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def thread(target: Callable[[threading.Event], None]) -> Iterator[None]:
    """A thread that has taken up its work, and ends with the block."""
    at_it, go = threading.Event(), threading.Event()

    def run() -> None:
        target(at_it)
        at_it.set()
        go.wait(10)

    one = threading.Thread(target=run, daemon=True)
    one.start()
    assert at_it.wait(10)
    try:
        yield
    finally:
        go.set()
        one.join(10)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def liveness(clock: Clock) -> Liveness:
    return Liveness(patience=60, clock=clock)


def test_work_without_a_sign_is_overdue_when_patience_is_over(clock: Clock, liveness: Liveness) -> None:
    with liveness.work("the pass over default/demo"):
        clock.now += 60
        assert liveness.overdue() == []
        clock.now += 1
        assert liveness.overdue() == ["the pass over default/demo for 61 s"]

    assert liveness.overdue() == []


def test_a_call_has_its_own_limit_and_its_end_is_a_sign(clock: Clock, liveness: Liveness) -> None:
    with liveness.work("the pass"):
        clock.now += 59
        with allow(180, "a call"):
            clock.now += 180 + MARGIN
            assert liveness.overdue() == []
            clock.now += 1
            assert liveness.overdue() == ["a call for 211 s"]
        clock.now += 59
        assert liveness.overdue() == []


def test_a_call_of_a_thread_without_work_is_nobodys_concern(clock: Clock, liveness: Liveness) -> None:
    with allow(1, "a pull"):
        clock.now += 3600
        assert liveness.overdue() == []


def test_another_threads_work_counts_as_well(clock: Clock, liveness: Liveness) -> None:
    ended = threading.Event()

    def work(at_it: threading.Event) -> None:
        with liveness.work("the listing"):
            at_it.set()
            ended.wait(10)

    with thread(work):
        clock.now += 61
        found = liveness.overdue()
        ended.set()
    assert found == ["the listing for 61 s"]


def test_who_waits_for_a_pool_is_not_overdue_but_its_hands_are(clock: Clock, liveness: Liveness) -> None:
    pool, gate, at_it = DaemonPool(1, "stop"), threading.Event(), threading.Event()

    def hand() -> None:
        at_it.set()
        gate.wait(10)

    def work(_at_it: threading.Event) -> None:
        with liveness.work("the pass"):
            future = pool.submit(hand)
            _at_it.set()
            future.result()

    with thread(work):
        assert at_it.wait(10)
        clock.now += 61
        found = liveness.overdue()
        gate.set()
    assert found == ["a hand of the pool stop for 61 s"]


def test_as_long_as_it_takes_is_never_overdue(clock: Clock, liveness: Liveness) -> None:
    with liveness.work("the pass"), allow(WITHOUT_LIMIT, "the rest of a log"):
        clock.now += 1e9
        assert liveness.overdue() == []
