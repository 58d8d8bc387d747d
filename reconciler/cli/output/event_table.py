"""The columns of ``events`` and ``get events``, and the events as objects for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.cli.output.tables import Row
from reconciler.client.jobs.job_snapshots import Job
from reconciler.common.durations import format_duration
from reconciler.names import DEFAULT_NAMESPACE
from reconciler.state.timestamps import parse_time


def job_events(jobs: Iterable[Job], *, kind: str = "") -> list[tuple[Job, Mapping[str, Any]]]:
    """Returns the events of jobs, oldest first; ``kind``: only Normal or Warning ones."""
    found = [
        (job, event)
        for job in jobs
        for event in (job.status.events if job.status is not None else ())
        if not kind or event.get("type") == kind
    ]
    return sorted(found, key=lambda one: parse_time(one[1].get("time")) or 0.0)


def event_rows(
    events: Iterable[tuple[Job, Mapping[str, Any]]], *, now: float, with_job: bool, namespaces: bool = False
) -> list[Row]:
    """Builds a row for each event.

    Args:
        events: in the order of the rows.
        now: seconds since the epoch.
        with_job: name the job.
        namespaces: and its namespace, in a column of its own.
    """
    rows = []
    for job, event in events:
        at, count = parse_time(event.get("time")), event.get("count")
        times = f" (x{count})" if isinstance(count, int) and count > 1 else ""
        cells = {"NAMESPACE": job.namespace} if namespaces and with_job else {}
        cells |= {
            "AGE": f"{format_duration(None if at is None else max(0.0, now - at))}{times}",
            "TYPE": str(event.get("type", "")),
            "REASON": str(event.get("reason", "")),
        }
        if with_job:
            cells["JOB"] = job.name if namespaces else job.short_name
        cells["MESSAGE"] = str(event.get("message", ""))
        rows.append(Row(cells=cells, styles={"TYPE": "yellow" if event.get("type") == "Warning" else ""}))
    return rows


def event_objects(events: Iterable[tuple[Job, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Returns the events for scripts."""
    return [
        {"namespace": job.namespace or DEFAULT_NAMESPACE, "job": job.name, **event} for job, event in events
    ]
