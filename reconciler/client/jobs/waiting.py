"""Waiting for a job: woken by the sidecar as it is written, and what to say when the end is the wrong one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reconciler.client.client_errors import InvalidRequest, JobFailed, WaitedTooLong
from reconciler.client.constants import constants
from reconciler.client.jobs.log_tailing import GrowingFile, tail_offset
from reconciler.client.jobs.trainjob_objects import step_name

if TYPE_CHECKING:
    from reconciler.client.jobs.folder_changes import Changes
    from reconciler.client.jobs.job_snapshots import Job
    from reconciler.client.types.types import TrainJob

STATUSES: Final = frozenset(
    {
        constants.TRAINJOB_CREATED,
        constants.TRAINJOB_RUNNING,
        constants.TRAINJOB_COMPLETE,
        constants.TRAINJOB_FAILED,
    }
)
#: Last lines of a log that a failure's message has.
LINES: Final = 10

Callback = Callable[["TrainJob"], None]


def check_arguments(wanted: set[str], timeout: float, polling_interval: float) -> None:
    """As upstream.

    Raises:
        InvalidRequest: a status that no job has, or times that make no sense.
    """
    if not wanted or not set(wanted) <= STATUSES:
        raise InvalidRequest(f"Expected status {wanted} must be a subset of {set(STATUSES)}.")
    for name, value in (("Timeout", timeout), ("Polling interval", polling_interval)):
        if value <= 0:
            raise InvalidRequest(f"{name} must be a positive number, got {value}.")
    if polling_interval >= timeout:
        raise InvalidRequest(
            "Polling interval must be strictly less than timeout. "
            f"Received polling_interval={polling_interval}, timeout={timeout}"
        )


def wait_for(
    look: Callable[[], tuple[Job, TrainJob]],
    changes: Changes,
    *,
    wanted: set[str],
    timeout: float,
    polling_interval: float,
    callbacks: Sequence[Callback],
) -> TrainJob:
    """Wait until the job's status is one of those wanted.

    Args:
        look: the job as it is now.
        changes: rings when the sidecar may have changed.
        wanted: statuses that end the wait.
        timeout: seconds in all.
        polling_interval: seconds after which callbacks are called though nothing has changed.
        callbacks: called with the job at once, at each change, and at each interval.

    Raises:
        JobFailed: it has failed, and that is not wanted.
        WaitedTooLong: the time is over, or the job is Complete and that is not wanted.
    """
    deadline = time.monotonic() + timeout
    told: TrainJob | None = None
    told_at = 0.0
    while True:
        job, seen = look()
        now = time.monotonic()
        if seen != told or now - told_at >= polling_interval:
            told, told_at = seen, now
            for callback in callbacks:
                callback(seen)
        if seen.status in wanted:
            return seen
        if seen.status == constants.TRAINJOB_FAILED:
            raise JobFailed(failure_text(job))
        if seen.status == constants.TRAINJOB_COMPLETE:
            # Not a matter of time: what has ended stays so.
            raise WaitedTooLong(f"TrainJob {seen.name} is Complete, and will not reach status: {wanted}.")
        if now >= deadline:
            raise WaitedTooLong(
                f"Timeout waiting for TrainJob {seen.name} to reach status: {wanted}; after {timeout:g} s "
                f"it is {seen.phase}" + (f": {seen.message}" if seen.message else ".")
            )
        changes.wait(min(deadline, told_at + polling_interval) - now)


def failure_text(job: Job) -> str:
    """Who failed how, with the last lines of the one that failed first."""
    lines = [f"TrainJob {job.name} is Failed" + (f": {job.message}" if job.message else "")]
    if job.status is None:
        return lines[0]
    for node in job.status.nodes:
        if node.exit_code is None:
            state = node.state or "not started"
        else:
            state = f"exit code {node.exit_code}"
            state += f" ({node.message})" if node.message not in ("", state) else ""
        rank = f" (rank {node.rank})" if node.rank is not None else ""
        lines.append(f"  {step_name(node)}{rank}: {state}")
    name, last = _last_lines(job)
    if last:
        lines.append(f"  Last lines of {name}:")
        lines += [f"    {line}" for line in last]
    return "\n".join(lines)


def _last_lines(job: Job) -> tuple[str, list[str]]:
    """Of the container that failed first: as its status has them, else from the kept log."""
    if job.status is None:
        return "", []
    failure: Any = job.status.status.get("failure")
    if isinstance(failure, dict) and failure.get("log"):
        return str(failure.get("container", "")), [str(line) for line in failure["log"]][-LINES:]
    failed = [node for node in job.status.nodes if node.exit_code not in (None, 0) and node.log]
    first = min(failed, key=lambda node: node.finished_at or float("inf"), default=None)
    return (first.name, list(_tail(Path(first.log)))) if first is not None else ("", [])


def _tail(path: Path) -> Iterator[str]:
    try:
        file = GrowingFile(path, offset=tail_offset(path, LINES))
    except OSError:
        return
    for line in [*file.lines(), file.last_line()]:
        if line:
            yield line.decode("utf-8", errors="replace")
