"""The work queue's promises, on a clock of the test's own."""

from __future__ import annotations

import threading

from reconciler.controller.workqueue import FIRST_RETRY, LAST_RETRY, WorkQueue


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def queue_at() -> tuple[WorkQueue, Clock]:
    clock = Clock()
    return WorkQueue(clock), clock


def drain(queue: WorkQueue) -> list[str]:
    keys = []
    while not queue.idle() and (key := queue.get()) is not None:
        keys.append(key)
        queue.done(key)
    return keys


def test_keys_come_in_the_order_they_were_added() -> None:
    queue, _ = queue_at()
    for key in ("b", "a", "c"):
        queue.add(key)
    assert drain(queue) == ["b", "a", "c"]


def test_a_key_is_queued_once() -> None:
    queue, _ = queue_at()
    queue.add("a")
    queue.add("a")
    assert drain(queue) == ["a"]


def test_a_key_is_worked_on_by_one_worker_at_a_time() -> None:
    queue, _ = queue_at()
    queue.add("a")
    assert queue.get() == "a"
    got: list[str | None] = []
    second = threading.Thread(target=lambda: got.append(queue.get()))
    queue.add("a")
    second.start()
    second.join(0.1)
    assert got == []
    queue.done("a")
    second.join(10)
    assert got == ["a"]


def test_a_key_added_while_worked_on_comes_once_more() -> None:
    queue, _ = queue_at()
    queue.add("a")
    queue.get()
    queue.add("a")
    queue.add("a")
    queue.done("a")
    assert drain(queue) == ["a"]


def test_a_delayed_key_comes_at_its_time_and_not_before() -> None:
    queue, clock = queue_at()
    queue.add_at("a", 110.0)
    assert drain(queue) == []
    clock.now = 110.0
    assert drain(queue) == ["a"]


def test_an_earlier_time_replaces_a_later_one_and_not_the_reverse() -> None:
    queue, clock = queue_at()
    queue.add_at("a", 120.0)
    queue.add_at("a", 110.0)
    queue.add_at("a", 130.0)
    clock.now = 110.0
    assert drain(queue) == ["a"]
    clock.now = 200.0
    assert drain(queue) == []


def test_failures_back_off_to_a_minute_and_success_forgets_them() -> None:
    queue, _ = queue_at()
    delays = [queue.retry("a") for _ in range(9)]
    assert delays == [FIRST_RETRY * 2**n for n in range(7)] + [LAST_RETRY] * 2
    queue.forget("a")
    assert queue.retry("a") == FIRST_RETRY


def test_failures_of_one_key_are_none_of_another() -> None:
    queue, _ = queue_at()
    queue.retry("a")
    queue.retry("a")
    assert queue.retry("b") == FIRST_RETRY


def test_idle_means_nothing_ready_and_nothing_worked_on() -> None:
    queue, clock = queue_at()
    assert queue.idle()
    queue.add_at("a", 110.0)
    assert queue.idle()
    clock.now = 111.0
    assert not queue.idle()
    queue.get()
    assert not queue.idle()
    queue.done("a")
    assert queue.idle()


def test_closing_wakes_every_worker() -> None:
    queue, _ = queue_at()
    got: list[str | None] = []
    workers = [threading.Thread(target=lambda: got.append(queue.get())) for _ in range(3)]
    for worker in workers:
        worker.start()
    queue.close()
    for worker in workers:
        worker.join(10)
    assert got == [None, None, None]


def test_a_waiting_worker_is_woken_by_a_new_key() -> None:
    queue, _ = queue_at()
    got: list[str | None] = []
    worker = threading.Thread(target=lambda: got.append(queue.get()))
    worker.start()
    queue.add("a")
    worker.join(10)
    assert got == ["a"]
