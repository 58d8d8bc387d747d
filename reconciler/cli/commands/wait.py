"""``reconciler wait``: waits for a phase in the status, woken by file events; scripts use its exit status.

What can go wrong: a status that is older than the manifest shows the end of an earlier run. An end from
before the last ``rerun`` is therefore ignored, and so is, for a few seconds, an Invalid that is older than
the manifest's last change.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from reconciler.cli import shared_options
from reconciler.cli.job_lookup import open_reader, run_time
from reconciler.cli.output.console import echo
from reconciler.cli.output.live_progress import StatusLine
from reconciler.client.client_errors import JobNotFound
from reconciler.client.jobs.folder_watcher import FolderWatcher
from reconciler.client.jobs.job_snapshots import Job
from reconciler.common.durations import format_duration
from reconciler.common.mappings import mapping_at
from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.names import ANNOTATION_RERUN
from reconciler.state.phases import ENDED_PHASES, FINISHED_PHASES, PHASES
from reconciler.state.sidecar_files import sidecar_root
from reconciler.state.sidecar_reader import NodeStatus
from reconciler.state.timestamps import parse_time

EXIT_TIMEOUT: Final = 124
#: Seconds a daemon has to read a changed manifest before the old Invalid counts again.
INVALID_GRACE: Final = 3.0

EPILOG = """\b
Example:
  reconciler wait demo --timeout 30m && echo done
  reconciler wait demo --for Running
  reconciler wait demo --for delete"""


class _Goal(shared_options.Word):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        word = str(value).removeprefix("condition=").removeprefix("phase=")  # as kubectl has it
        return super().convert(word, param, ctx)


@click.command(epilog=EPILOG)
@shared_options.job_argument
@click.option(
    "--for",
    "goal",
    type=_Goal("phase", dict.fromkeys((*PHASES, "Finished", "delete"), ())),
    default="Complete",
    show_default=True,
    metavar="PHASE",
    help="Phase to wait for; Finished: Complete or Failed; delete: until nothing is left of it.",
)
@click.option(
    "--timeout",
    type=shared_options.Duration(),
    metavar="TIME",
    help="Give up after this long (exit status 124): 90, 90s, 30m.",
)
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir", "state_dir")
def wait(job: str, *, goal: str, timeout: float | None, namespace: str | None, settings: Settings) -> int:
    """Wait until a job has reached a phase; exit status 1 if it ended otherwise, 124 after the time-out."""
    deadline = None if timeout is None else time.monotonic() + timeout
    root = sidecar_root(settings.specs, settings.status_dir)
    reader = open_reader(settings)

    def await_outcome(watcher: FolderWatcher, line: StatusLine) -> Outcome:
        while True:
            try:
                found = reader.snapshot().find(job, namespace)
            except JobNotFound:
                if goal != "delete":
                    raise
                return Outcome(status=0, message=f"{job}: gone")
            line.show(found)
            if outcome := find_outcome(found, goal, now=time.time(), settings=settings):
                return outcome
            left = 1.0 if deadline is None else deadline - time.monotonic()
            if left <= 0:
                state = f"is still {found.phase}" + (f": {found.message}" if found.message else "")
                return Outcome(status=EXIT_TIMEOUT, message=f"{found.name}: timed out; it {state}")
            watcher.wait(left)

    with FolderWatcher([settings.specs, root]) as watcher, StatusLine() as line:
        outcome = await_outcome(watcher, line)
    echo(outcome.message, err=outcome.status != 0)
    return outcome.status


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of the wait: exit status and what is printed."""

    status: int
    message: str


def find_outcome(job: Job, goal: str, *, now: float, settings: Settings) -> Outcome | None:
    """Returns the end of the wait for ``goal``; None while it goes on.

    Args:
        job: manifest and status as they are now.
        goal: a phase, ``Finished`` or ``delete``.
        now: seconds since the epoch.
        settings: say where the job's record is.
    """
    known = job.status is not None or job.recorded_phase
    if goal == "delete" or not known or _is_outdated(job, now=now, settings=settings):
        return None
    phase = job.phase
    if phase == goal or (goal == "Finished" and phase in FINISHED_PHASES):
        return Outcome(status=0, message=_summary(job, now))
    if phase in ENDED_PHASES:
        return Outcome(status=1, message=_summary(job, now))
    return None


def _summary(job: Job, now: float) -> str:
    ran = run_time(job, now)
    text = f"{job.name}: {job.phase}" + (f" after {format_duration(ran)}" if ran is not None else "")
    if job.phase not in {"Failed", "Invalid"}:
        return text
    text += f": {job.message}" if job.message else ""
    node = _first_failed_node(job)
    if node is not None:
        who = f"rank {node.rank} ({node.name})" if node.rank is not None else node.name
        text += f"\n{who} exited with {node.exit_code}" + (f"; its log: {node.log}" if node.log else "")
    return text


def _first_failed_node(job: Job) -> NodeStatus | None:
    nodes = [n for n in job.nodes if n.exit_code not in (None, 0)]
    return min(nodes, key=lambda n: (n.finished_at or float("inf"), n.rank or 0), default=None)


def _is_outdated(job: Job, *, now: float, settings: Settings) -> bool:
    """Whether the status is of an earlier run, or of an earlier state of the manifest."""
    if job.phase in FINISHED_PHASES:
        return _is_rerun_pending(job, settings)
    if job.status is not None and job.phase == "Invalid" and job.file:
        try:
            changed = Path(job.file).stat().st_mtime
        except OSError:
            return False
        return job.status.written_at < changed and now - changed < INVALID_GRACE
    return False


def _is_rerun_pending(job: Job, settings: Settings) -> bool:
    """Whether the manifest asks for a rerun that the daemon has not begun."""
    wanted = mapping_at(job.manifest, "metadata", "annotations").get(ANNOTATION_RERUN)
    if not wanted:
        return False
    begun = job.reported.get("rerun")
    if begun is None:
        begun = _recorded_rerun(job, settings)
    if begun is not None:
        return str(begun) != str(wanted)
    if job.status is None:
        return True  # the record, all that is left, knows of no rerun
    asked, ended = parse_time(wanted), job.status.finished_at
    return asked is not None and ended is not None and ended < int(asked)


def _recorded_rerun(job: Job, settings: Settings) -> str | None:
    from reconciler.state.record_store import RecordStore  # noqa: PLC0415  (imports pydantic)

    try:
        record = RecordStore.of(settings).load(job.key)
    except StateError:
        return None  # another user's daemon: the times must do
    return record.rerun if record is not None else None
