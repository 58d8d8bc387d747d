"""A pool of daemon threads."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from reconciler.common.liveness import Liveness
from reconciler.controller.thread_pool import DaemonThreadPool


def test_results_and_errors_come_back_through_the_future() -> None:
    pool = DaemonThreadPool(2, "test")

    assert pool.submit(lambda: 7).result(timeout=5) == 7
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 / 0).result(timeout=5)


def test_no_more_than_width_run_at_once_and_the_rest_follow_in_order() -> None:
    pool = DaemonThreadPool(2, "test")
    gate, two_in = threading.Event(), threading.Barrier(3)
    order: list[int] = []

    def hold() -> None:
        two_in.wait(timeout=5)
        gate.wait(timeout=5)

    holders = [pool.submit(hold) for _ in range(2)]
    two_in.wait(timeout=5)
    rest = [pool.submit(order.append, n) for n in range(5)]

    assert not any(future.done() for future in rest)
    gate.set()
    for future in holders + rest:
        future.result(timeout=5)
    assert sorted(order) == [0, 1, 2, 3, 4]


def test_shutdown_cancels_what_has_not_begun_and_refuses_more() -> None:
    pool = DaemonThreadPool(1, "test")
    gate, begun = threading.Event(), threading.Event()
    running = pool.submit(lambda: (begun.set(), gate.wait(5)))
    begun.wait(timeout=5)
    waiting = pool.submit(lambda: None)

    pool.shutdown()

    assert waiting.cancelled()
    gate.set()
    running.result(timeout=5)
    with pytest.raises(RuntimeError):
        pool.submit(lambda: None)


def test_a_busy_pool_does_not_keep_the_program_from_ending() -> None:
    program = (
        "import threading\n"
        "from reconciler.controller.thread_pool import DaemonThreadPool\n"
        "begun = threading.Event()\n"
        "pool = DaemonThreadPool(1, 't')\n"
        "pool.submit(lambda: (begun.set(), threading.Event().wait()))\n"
        "begun.wait()\n"
    )

    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)

    assert done.returncode == 0


def test_tasks_that_wait_make_room_for_others() -> None:
    pool = DaemonThreadPool(2, "test", limit=8, patience=0.05)
    gate = threading.Event()
    hanging = [pool.submit(gate.wait, 30) for _ in range(4)]

    assert pool.submit(lambda: 7).result(timeout=10) == 7

    gate.set()
    assert all(future.result(timeout=10) for future in hanging)


def test_one_subject_has_its_share_however_many_of_its_tasks_hang() -> None:
    pool = DaemonThreadPool(4, "test", limit=6, share=3, patience=0.05)
    liveness, gate = Liveness(), threading.Event()
    with liveness.track("a pass", about="default/hung"):
        hanging = [pool.submit(gate.wait, 30) for _ in range(10)]

    with liveness.track("a pass", about="default/other"):
        others = [pool.submit(lambda number=number: number) for number in range(5)]
        assert [future.result(timeout=10) for future in others] == [0, 1, 2, 3, 4]

    assert sum(future.running() for future in hanging) == 3
    gate.set()
    assert all(future.result(timeout=10) for future in hanging)


def test_subjects_take_turns() -> None:
    pool = DaemonThreadPool(1, "test")
    liveness, gate, order = Liveness(), threading.Event(), list[str]()
    first = pool.submit(gate.wait, 30)
    futures = []
    for subject, tasks in (("many", 3), ("few", 1)):
        with liveness.track("a pass", about=subject):
            futures += [pool.submit(order.append, subject) for _ in range(tasks)]

    gate.set()
    for future in (first, *futures):
        future.result(timeout=10)

    assert order == ["many", "few", "many", "many"]
