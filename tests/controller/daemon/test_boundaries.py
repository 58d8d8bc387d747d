"""What a part of the daemon's work raises ends neither the daemon nor the other parts, and never spins."""

from __future__ import annotations

import errno

import pytest
import structlog
from structlog.testing import capture_logs

from reconciler.controller.daemon import boundaries
from reconciler.controller.daemon.boundaries import FIRST_PAUSE, LAST_PAUSE, Boundary
from reconciler.errors import StateError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Work:
    """Fails for as long as it has an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_work_that_succeeds_is_done_each_time(clock: Clock) -> None:
    boundary, work = Boundary("reading", clock=clock), Work()

    assert [boundary.run(work), boundary.run(work)] == [True, True]
    assert (work.times, boundary.failing) == (2, False)


def test_failing_work_rests_for_a_growing_time_up_to_the_longest(clock: Clock) -> None:
    boundary, work = Boundary("reading", clock=clock), Work(ValueError("a mistake"))
    pauses = []
    for _ in range(10):
        assert not boundary.run(work)
        assert not boundary.run(work)  # it rests
        pauses.append(boundary.pause)
        clock.now += boundary.pause

    assert work.times == 10
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == LAST_PAUSE


def test_what_the_system_refuses_is_logged_once_and_its_end_as_well(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever level another test of this process has configured.
    monkeypatch.setattr(boundaries, "_log", structlog.get_logger(wrapper_class=structlog.BoundLogger))
    structlog.reset_defaults()
    boundary, work = Boundary("reading", clock=clock), Work(OSError(errno.EMFILE, "Too many open files"))
    with capture_logs() as logs:
        for _ in range(3):
            boundary.run(work)
            clock.now += LAST_PAUSE
        work.error = StateError("The disk is full.")
        boundary.run(work)
        clock.now += LAST_PAUSE
        work.error = None
        boundary.run(work)

    assert [(log["event"], log.get("reason", "")[:20]) for log in logs] == [
        ("daemon part failed", "Too many open files."),
        ("daemon part failed", "The disk is full."),
        ("daemon part recovered", ""),
    ]
    assert "ulimit -n" in logs[0]["reason"]


def test_only_an_error_of_this_program_counts_as_broken_and_since_its_first_time(clock: Clock) -> None:
    boundary, work = Boundary("reading", clock=clock), Work(OSError(errno.EIO, "Input/output error"))
    boundary.run(work)
    assert boundary.broken_since is None

    clock.now += LAST_PAUSE
    began, work.error = clock.now, KeyError("a mistake")
    for _ in range(3):
        boundary.run(work)
        clock.now += LAST_PAUSE
    assert boundary.broken_since == began

    work.error = None
    boundary.run(work)
    assert boundary.broken_since is None


def test_a_run_that_ends_gets_the_error_itself(clock: Clock) -> None:
    with pytest.raises(ZeroDivisionError):
        Boundary("reading", raises=True, clock=clock).run(Work(ZeroDivisionError()))


def test_the_end_of_the_process_is_nobodys_fault(clock: Clock) -> None:
    def leave() -> None:
        raise SystemExit(0)

    with pytest.raises(SystemExit):
        Boundary("reading", clock=clock).run(leave)
