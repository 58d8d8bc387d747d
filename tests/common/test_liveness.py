"""Which threads hang and which only take long, on a clock of the test's own; threads are real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from reconciler.common.liveness import CALL_MARGIN, NO_LIMIT, Liveness, allow_time
from reconciler.controller.thread_pool import DaemonThreadPool


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def thread(target: Callable[[threading.Event], None]) -> Iterator[None]:
    """A thread that has begun its task, and ends with the block."""
    begun, go = threading.Event(), threading.Event()

    def run() -> None:
        target(begun)
        begun.set()
        go.wait(10)

    one = threading.Thread(target=run, daemon=True)
    one.start()
    assert begun.wait(10)
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
    return Liveness(work_limit=60, clock=clock)


def test_a_task_without_a_sign_is_overdue_after_the_limit(clock: Clock, liveness: Liveness) -> None:
    with liveness.track("the pass over default/demo"):
        clock.now += 60
        assert liveness.overdue() == []
        clock.now += 1
        assert liveness.overdue() == ["the pass over default/demo for 61 s"]

    assert liveness.overdue() == []


def test_a_call_has_its_own_limit_and_its_end_is_a_sign(clock: Clock, liveness: Liveness) -> None:
    with liveness.track("the pass"):
        clock.now += 59
        with allow_time(180, "a call"):
            clock.now += 180 + CALL_MARGIN
            assert liveness.overdue() == []
            clock.now += 1
            assert liveness.overdue() == ["a call for 211 s"]
        clock.now += 59
        assert liveness.overdue() == []


def test_a_call_in_a_thread_without_a_task_is_not_watched(clock: Clock, liveness: Liveness) -> None:
    with allow_time(1, "a pull"):
        clock.now += 3600
        assert liveness.overdue() == []


def test_tasks_of_other_threads_are_watched(clock: Clock, liveness: Liveness) -> None:
    ended = threading.Event()

    def work(begun: threading.Event) -> None:
        with liveness.track("the listing"):
            begun.set()
            ended.wait(10)

    with thread(work):
        clock.now += 61
        found = liveness.overdue()
        ended.set()
    assert found == ["the listing for 61 s"]


def test_a_thread_that_waits_for_a_pool_is_not_overdue_but_the_pools_thread_is(
    clock: Clock, liveness: Liveness
) -> None:
    pool, gate, begun = DaemonThreadPool(1, "stop"), threading.Event(), threading.Event()

    def block() -> None:
        begun.set()
        gate.wait(10)

    def work(submitted: threading.Event) -> None:
        with liveness.track("the pass"):
            future = pool.submit(block)
            submitted.set()
            future.result()

    with thread(work):
        assert begun.wait(10)
        clock.now += 61
        found = liveness.overdue()
        gate.set()
    assert found == ["a thread of the pool stop for 61 s"]


def test_a_step_without_limit_is_never_overdue(clock: Clock, liveness: Liveness) -> None:
    with liveness.track("the pass"), allow_time(NO_LIMIT, "the rest of a log"):
        clock.now += 1e9
        assert liveness.overdue() == []


def test_a_step_that_takes_longer_than_usual_is_named_with_what_it_is_for() -> None:
    now = [0.0]
    liveness = Liveness(clock=lambda: now[0])

    with liveness.track("the pass over default/demo", about="default/demo"):
        with allow_time(60.0, "a call of Podman to list containers", slow_after=10.0):
            now[0] = 9.0
            assert liveness.slow() == []
            now[0] = 11.0
            (slow,) = liveness.slow()
            assert liveness.overdue() == []
        assert liveness.slow() == []

    assert (slow.about, slow.name, slow.seconds) == (
        "default/demo",
        "a call of Podman to list containers",
        11.0,
    )
