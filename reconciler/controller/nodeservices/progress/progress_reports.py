"""The last report of each job, until a pass over the job has taken it into the record.

Reports come on other threads than passes, and as often as a script likes. Nobody but a pass writes a
record: here a report waits for it, a later one replaces it, and a job's passes come at most a few times a
second for its reports.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from reconciler.state.record import Record

#: Seconds between two passes over a job that only reports.
INTERVAL: Final = 0.3


@dataclass(frozen=True, kw_only=True)
class Report:
    """One report: of which life of the job, when it came, and what it says."""

    uid: str
    at: float
    status: dict[str, Any] = field(default_factory=dict)


class Inbox:
    """See the module.

    Args:
        clock: seconds since the epoch.
        wake: asked to have a pass over a job at a time.
    """

    def __init__(self, *, clock: Callable[[], float], wake: Callable[[str, float], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._lock = threading.Condition()
        self._reports: dict[str, Report] = {}
        #: When the last pass for a report was asked for.
        self._woken: dict[str, float] = {}

    def put(self, key: str, *, uid: str, status: dict[str, Any]) -> None:
        """A report has come."""
        now = self._clock()
        with self._lock:
            self._reports[key] = Report(uid=uid, at=now, status=status)
            woken = self._woken.get(key, 0.0)
            if woken > now + INTERVAL:
                woken = now  # a clock that was set back must not silence a job
            due = woken if woken > now else max(now, woken + INTERVAL)
            self._woken[key] = due
        self._wake(key, due)

    def wake_after(self, key: str, seconds: float) -> None:
        """Have a pass over a job that has not reported."""
        self._wake(key, self._clock() + seconds)

    def applied(
        self, record: Record, mask: Callable[[dict[str, Any]], dict[str, Any]] = lambda status: status
    ) -> Record:
        """The record with what was reported; it stays here until :meth:`saved`.

        Args:
            record: of the job.
            mask: takes out what nobody may read, before it is in any record.
        """
        with self._lock:
            report = self._reports.get(record.key)
        if report is None or report.uid != record.uid:
            return record
        status = mask(report.status)
        with self._lock:
            if status != report.status and self._reports.get(record.key) is report:
                self._reports[record.key] = replace(report, status=status)
        return record.model_copy(update={"trainer_status": status, "progress_at": report.at})

    def saved(self, record: Record) -> None:
        """The record is on the disk: what it has taken in is done with, and what is of another life."""
        with self._lock:
            report = self._reports.get(record.key)
            if report is None:
                return
            taken = report.at == record.progress_at and report.status == record.trainer_status
            if taken or report.uid != record.uid:
                del self._reports[record.key]
                self._lock.notify_all()

    def drain(self, timeout: float) -> None:
        """Wait until everything that was reported is in records."""
        with self._lock:
            keys = list(self._reports)
        for key in keys:
            self._wake(key, self._clock())
        with self._lock:
            self._lock.wait_for(lambda: not self._reports, timeout)

    def forget(self, key: str) -> None:
        """The job is gone."""
        with self._lock:
            self._reports.pop(key, None)
            self._woken.pop(key, None)
