"""``wait_for_job_status()``: waits until a sidecar shows a status, and describes other ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from reconciler.client.client_errors import InvalidRequest, JobFailed, WaitTimeout
from reconciler.client.constants import constants
from reconciler.client.jobs.file_tail import FileTail, tail_offset
from reconciler.client.jobs.folder_watcher import FolderWatcher
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.jobs.trainjob_objects import step_name
from reconciler.client.types.types import TrainJob
from reconciler.common.mappings import mapping_at

STATUSES: Final = frozenset(
    {
        constants.TRAINJOB_CREATED,
        constants.TRAINJOB_RUNNING,
        constants.TRAINJOB_COMPLETE,
        constants.TRAINJOB_FAILED,
    }
)
#: Last lines of a log in a failure's message.
LOG_LINES: Final = 10

Callback = Callable[[TrainJob], None]


def check_arguments(wanted: set[str], timeout: float, polling_interval: float) -> None:
    """Checks the arguments as upstream does.

    Raises:
        InvalidRequest: a status that no job has, or times that contradict each other.
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


def wait_for_status(
    load_job: Callable[[], tuple[Job, TrainJob]],
    watcher: FolderWatcher,
    *,
    wanted: set[str],
    timeout: float,
    polling_interval: float,
    callbacks: Sequence[Callback],
) -> TrainJob:
    """Waits until the job's status is one of those wanted.

    Args:
        load_job: returns the job as it is now.
        watcher: wakes up when the sidecar may have changed.
        wanted: statuses that end the wait.
        timeout: seconds in all.
        polling_interval: seconds after which callbacks are called though nothing has changed.
        callbacks: called with the job at once, at each change, and at each interval.

    Raises:
        JobFailed: the job has failed, and that is not wanted.
        WaitTimeout: the time is over, or the job is Complete and that is not wanted.
    """
    deadline = time.monotonic() + timeout
    reported: TrainJob | None = None
    reported_at = 0.0
    while True:
        job, trainjob = load_job()
        now = time.monotonic()
        if trainjob != reported or now - reported_at >= polling_interval:
            reported, reported_at = trainjob, now
            for callback in callbacks:
                callback(trainjob)
        if trainjob.status in wanted:
            return trainjob
        if trainjob.status == constants.TRAINJOB_FAILED:
            raise JobFailed(describe_failure(job))
        if trainjob.status == constants.TRAINJOB_COMPLETE:
            # Not a matter of time: a job that has ended stays so.
            raise WaitTimeout(f"TrainJob {trainjob.name} is Complete, and will not reach status: {wanted}.")
        if now >= deadline:
            raise WaitTimeout(
                f"Timeout waiting for TrainJob {trainjob.name} to reach status: {wanted}; "
                f"after {timeout:g} s it is {trainjob.phase}"
                + (f": {trainjob.message}" if trainjob.message else ".")
            )
        watcher.wait(min(deadline, reported_at + polling_interval) - now)


def describe_failure(job: Job) -> str:
    """Returns how each node ended, with the last lines of the one that failed first."""
    lines = [f"TrainJob {job.name} is Failed" + (f": {job.message}" if job.message else "")]
    for node in job.nodes:
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
    """Container that failed first and its last lines: from the status, else from the kept log."""
    failure = mapping_at(job.reported, "failure")
    if failure.get("log"):
        return str(failure.get("container", "")), [str(line) for line in failure["log"]][-LOG_LINES:]
    failed = [node for node in job.nodes if node.exit_code not in (None, 0) and node.log]
    first = min(failed, key=lambda node: node.finished_at or float("inf"), default=None)
    return (first.name, list(_read_tail(Path(first.log)))) if first is not None else ("", [])


def _read_tail(path: Path) -> Iterator[str]:
    try:
        tail = FileTail(path, offset=tail_offset(path, LOG_LINES))
    except OSError:
        return
    for line in [*tail.read_lines(), tail.read_unfinished_line()]:
        if line:
            yield line.decode("utf-8", errors="replace")
