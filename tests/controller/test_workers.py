"""Workers whose pass waits are replaced."""

from __future__ import annotations

import threading
import time

import pytest

from reconciler.common.liveness import Liveness
from reconciler.controller import workers
from reconciler.controller.workers import Workers
from reconciler.controller.workqueue import WorkQueue


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long here."""
    monkeypatch.setattr(workers, "PATIENCE", 0.05)
    monkeypatch.setattr(workers, "IDLE_SECONDS", 0.05)


@pytest.mark.usefixtures("quick")
def test_a_pass_that_waits_does_not_hold_up_the_next_key() -> None:
    queue, gate, done = WorkQueue(time.time), threading.Event(), threading.Event()

    def make_pass(key: str) -> None:
        if key.startswith("hung"):
            gate.wait(30)
        else:
            done.set()

    pool = Workers(queue, make_pass, Liveness())
    threading.Thread(target=pool.run, daemon=True).start()
    for key in ("hung-1", "hung-2", "other"):
        queue.add(key)

    deadline = time.monotonic() + 30
    while not done.wait(0.02) and time.monotonic() < deadline:
        pool.keep_up()

    assert done.is_set()
    gate.set()
    queue.close(patience=10)


@pytest.mark.usefixtures("quick")
def test_nobody_is_added_where_nothing_waits() -> None:
    queue, gate, begun = WorkQueue(time.time), threading.Event(), threading.Event()

    def make_pass(_key: str) -> None:
        begun.set()
        gate.wait(30)

    pool = Workers(queue, make_pass, Liveness())
    threading.Thread(target=pool.run, daemon=True).start()
    queue.add("hung")
    begun.wait(10)
    time.sleep(0.1)
    pool.keep_up()

    assert not [t for t in threading.enumerate() if t.name == "worker-substitute"]
    gate.set()
    queue.close(patience=10)
