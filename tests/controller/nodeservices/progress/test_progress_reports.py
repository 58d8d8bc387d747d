"""Reports between the endpoint and the passes, on a test clock."""

from __future__ import annotations

from itertools import pairwise

from reconciler.controller.nodeservices.progress.progress_reports import PASS_INTERVAL, ProgressReports
from reconciler.state.record import Record


class Harness:
    def __init__(self) -> None:
        self.now = 1000.0
        self.due: list[float] = []
        self.reports = ProgressReports(
            clock=lambda: self.now, enqueue_at=lambda _key, when: self.due.append(when)
        )

    def put(self, percent: int, uid: str = "u1") -> None:
        self.reports.put("default/demo", uid=uid, status={"progressPercentage": percent})


RECORD = Record(namespace="default", name="demo", uid="u1", created_at=0.0)


def test_masked_report_is_discarded_once_saved() -> None:
    harness = Harness()
    harness.reports.put(RECORD.key, uid=RECORD.uid, status={"metrics": "secret"})

    record = harness.reports.apply_to(RECORD, mask=lambda _status: {"metrics": "****"})
    harness.reports.discard_saved(record)

    assert record.trainer_status == {"metrics": "****"}
    assert harness.reports.apply_to(RECORD) == RECORD


def test_report_and_its_time_are_in_the_record_of_the_next_pass() -> None:
    harness = Harness()
    harness.put(10)

    record = harness.reports.apply_to(RECORD)

    assert record.trainer_status == {"progressPercentage": 10}
    assert record.progress_at == 1000.0


def test_report_stays_until_the_record_is_saved() -> None:
    harness = Harness()
    harness.put(10)

    first = harness.reports.apply_to(RECORD)  # the save failed
    again = harness.reports.apply_to(RECORD)
    harness.reports.discard_saved(again)

    assert first == again
    assert harness.reports.apply_to(RECORD) == RECORD


def test_report_that_arrives_during_the_save_is_not_lost() -> None:
    harness = Harness()
    harness.put(10)
    record = harness.reports.apply_to(RECORD)
    harness.now += 0.01
    harness.put(20)

    harness.reports.discard_saved(record)

    assert harness.reports.apply_to(record).trainer_status == {"progressPercentage": 20}


def test_report_of_another_uid_is_dropped() -> None:
    harness = Harness()
    harness.put(10, uid="before")

    record = harness.reports.apply_to(RECORD)
    harness.reports.discard_saved(record)
    harness.reports.drain(0.0)

    assert record == RECORD
    assert harness.reports._reports == {}


def test_flood_of_reports_causes_few_passes() -> None:
    harness = Harness()
    for _ in range(1000):
        harness.put(1)
        harness.now += 0.01  # ten seconds in all

    passes = sorted(set(harness.due))

    assert passes[0] == 1000.0
    assert len(passes) <= 10 / PASS_INTERVAL + 2
    assert all(after - before > PASS_INTERVAL * 0.99 for before, after in pairwise(passes))


def test_first_report_after_a_pause_requests_a_pass_at_once() -> None:
    harness = Harness()
    harness.put(1)
    harness.now += 5
    harness.put(2)

    assert harness.due == [1000.0, 1005.0]


def test_clock_that_is_set_back_does_not_delay_passes() -> None:
    harness = Harness()
    harness.put(1)
    harness.now -= 5000
    harness.put(2)

    assert harness.due[-1] <= harness.now + PASS_INTERVAL
