"""Reports between the endpoint and the passes, on a clock of the test's own."""

from __future__ import annotations

from itertools import pairwise

from reconciler.controller.nodeservices.progress.progress_reports import INTERVAL, Inbox
from reconciler.state.record import Record


class Bench:
    def __init__(self) -> None:
        self.now = 1000.0
        self.woken: list[float] = []
        self.inbox = Inbox(clock=lambda: self.now, wake=lambda _key, when: self.woken.append(when))

    def put(self, percent: int, uid: str = "u1") -> None:
        self.inbox.put("default/demo", uid=uid, status={"progressPercentage": percent})


RECORD = Record(namespace="default", name="demo", uid="u1", created_at=0.0)


def test_what_was_masked_is_done_with_once_it_is_saved() -> None:
    bench = Bench()
    bench.inbox.put(RECORD.key, uid=RECORD.uid, status={"metrics": "secret"})

    record = bench.inbox.applied(RECORD, mask=lambda _status: {"metrics": "****"})
    bench.inbox.saved(record)

    assert record.trainer_status == {"metrics": "****"}
    assert bench.inbox.applied(RECORD) == RECORD


def test_a_report_is_in_the_record_that_the_next_pass_saves_and_counts_as_life() -> None:
    bench = Bench()
    bench.put(10)

    record = bench.inbox.applied(RECORD)

    assert record.trainer_status == {"progressPercentage": 10}
    assert record.progress_at == 1000.0


def test_a_report_stays_until_the_record_is_on_the_disk() -> None:
    bench = Bench()
    bench.put(10)

    first = bench.inbox.applied(RECORD)  # and the disk was full
    again = bench.inbox.applied(RECORD)
    bench.inbox.saved(again)

    assert first == again
    assert bench.inbox.applied(RECORD) == RECORD


def test_one_that_came_while_the_record_was_written_is_not_lost() -> None:
    bench = Bench()
    bench.put(10)
    record = bench.inbox.applied(RECORD)
    bench.now += 0.01
    bench.put(20)

    bench.inbox.saved(record)

    assert bench.inbox.applied(record).trainer_status == {"progressPercentage": 20}


def test_a_report_of_an_earlier_life_changes_nothing_and_is_dropped() -> None:
    bench = Bench()
    bench.put(10, uid="before")

    record = bench.inbox.applied(RECORD)
    bench.inbox.saved(record)
    bench.inbox.drain(0.0)

    assert record == RECORD
    assert bench.inbox._reports == {}


def test_a_flood_of_reports_makes_a_few_passes_a_second() -> None:
    bench = Bench()
    for _ in range(1000):
        bench.put(1)
        bench.now += 0.01  # ten seconds in all

    passes = sorted(set(bench.woken))

    assert passes[0] == 1000.0
    assert len(passes) <= 10 / INTERVAL + 2
    assert all(after - before > INTERVAL * 0.99 for before, after in pairwise(passes))


def test_the_first_report_after_a_pause_is_taken_at_once() -> None:
    bench = Bench()
    bench.put(1)
    bench.now += 5
    bench.put(2)

    assert bench.woken == [1000.0, 1005.0]


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    bench = Bench()
    bench.put(1)
    bench.now -= 5000
    bench.put(2)

    assert bench.woken[-1] <= bench.now + INTERVAL
