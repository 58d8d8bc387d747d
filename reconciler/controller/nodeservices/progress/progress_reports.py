"""The last report of each job, until a pass over the job has taken it into the record.

Reports come on other threads than passes, and as often as a script likes. Only a pass writes a record: here a
report waits for it, a later one replaces it, and reports cause at most a few passes per second and job.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler.state.record import Record

#: Least seconds between two passes over a job that are due to its reports.
PASS_INTERVAL: Final = 0.3


@dataclass(frozen=True, kw_only=True)
class ProgressReport:
    """One report: the uid of the job that sent it, its time of arrival, and its content."""

    uid: str
    at: float
    status: dict[str, Any]


class ProgressReports:
    """Keeps the reports between the endpoint and the passes; every method may be called from any thread.

    Args:
        clock: seconds since the epoch.
        enqueue_at: requests a pass over a job, by key, at a time.
    """

    def __init__(self, *, clock: Callable[[], float], enqueue_at: Callable[[str, float], None]) -> None:
        self._clock = clock
        self._enqueue_at = enqueue_at
        self._lock = threading.Condition()
        self._reports: dict[str, ProgressReport] = {}
        #: When the last pass that a report requested is due.
        self._due: dict[str, float] = {}

    def put(self, key: str, *, uid: str, status: dict[str, Any]) -> None:
        """Stores a report and requests a pass."""
        now = self._clock()
        with self._lock:
            self._reports[key] = ProgressReport(uid=uid, at=now, status=status)
            last = self._due.get(key, 0.0)
            if last > now + PASS_INTERVAL:
                last = now  # a clock that was set back must not silence a job
            due = last if last > now else max(now, last + PASS_INTERVAL)
            self._due[key] = due
        self._enqueue_at(key, due)

    def request_pass(self, key: str, seconds: float) -> None:
        """Requests a pass over a job that has not reported."""
        self._enqueue_at(key, self._clock() + seconds)

    def apply_to(
        self, record: Record, mask: Callable[[dict[str, Any]], dict[str, Any]] = lambda status: status
    ) -> Record:
        """Returns the record with what was reported; the report stays here until :meth:`discard_saved`.

        Args:
            record: of the job.
            mask: removes secrets, before the report is in any record.
        """
        with self._lock:
            report = self._reports.get(record.key)
        if report is None or report.uid != record.uid:
            return record
        status = mask(report.status)
        with self._lock:
            if status != report.status and self._reports.get(record.key) is report:
                self._reports[record.key] = replace(report, status=status)
        return record.replace(trainer_status=status, progress_at=report.at)

    def discard_saved(self, record: Record) -> None:
        """Drops a report that the saved record contains, or that comes from another job of the same name."""
        with self._lock:
            report = self._reports.get(record.key)
            if report is None:
                return
            saved = report.at == record.progress_at and report.status == record.trainer_status
            if saved or report.uid != record.uid:
                del self._reports[record.key]
                self._lock.notify_all()

    def drain(self, timeout: float) -> None:
        """Waits until all reports are in records."""
        with self._lock:
            keys = list(self._reports)
        for key in keys:
            self._enqueue_at(key, self._clock())
        with self._lock:
            self._lock.wait_for(lambda: not self._reports, timeout)

    def forget(self, key: str) -> None:
        """Drops the report of a deleted job."""
        with self._lock:
            self._reports.pop(key, None)
            self._due.pop(key, None)
