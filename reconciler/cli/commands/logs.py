"""``reconciler logs``: kept log files of a job's containers, printed or followed; across restarts.

Logs are files that the daemon keeps (`<log-dir>/<namespace>/<job>/<attempt>/<container>.log`), so they exist
when the containers do not, or the job itself. The engine is asked only for a container that has no file.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import click

from reconciler.cli import shared_options
from reconciler.cli.job_engine import connect_to_engine_of
from reconciler.cli.job_lookup import open_reader
from reconciler.cli.output.console import print_note
from reconciler.cli.output.dated_output import DatedOutput, print_dated
from reconciler.cli.output.log_printing import write_log_line
from reconciler.client.client_errors import JobNotFound
from reconciler.client.jobs.file_tail import FileTail
from reconciler.client.jobs.job_snapshots import Job, Snapshot, SnapshotReader
from reconciler.client.jobs.log_selection import (
    LogSelection,
    find_log_folder,
    list_attempts,
    same_object,
    select_log_files,
)
from reconciler.common.sanitize import sanitize_output
from reconciler.config.settings import Settings
from reconciler.errors import EngineUnavailable, NotFound, ReconcilerError
from reconciler.names import DEFAULT_NAMESPACE
from reconciler.state.kept_logs.log_folders import find_former_folders, owned_folder, read_owner
from reconciler.state.kept_logs.log_paths import job_log_folder
from reconciler.state.timestamps import format_time

if TYPE_CHECKING:
    from reconciler.engines.protocol import LogStream

#: Seconds between two reads of growing files, and between two reads of the job.
READ_INTERVAL: Final = 0.1
JOB_INTERVAL: Final = 0.5
#: Seconds without growth after the job's end until nothing more is expected.
QUIET_PERIOD: Final = 0.5

EPILOG = """\b
Example:
  reconciler logs demo                    # rank 0
  reconciler logs demo --node 2 --tail 50
  reconciler logs demo --all -f           # every container, each line with its rank
  reconciler logs demo --since 10m --timestamps
  reconciler logs demo --step dataset-initializer"""


@click.command(epilog=EPILOG)
@shared_options.job_argument
@click.option("--node", type=click.IntRange(min=0), metavar="RANK", help="Node of this rank; default: 0.")
@click.option("--step", metavar="STEP", help="Every container of a step, such as dataset-initializer.")
@click.option("--all", "all_containers", is_flag=True, help="Every container, each line with its rank.")
@click.option("-c", "--container", metavar="NAME", help="The container of this full name.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended, across restarts.")
@click.option("--tail", type=click.IntRange(min=0), metavar="LINES", help="Begin with the last lines.")
@click.option(
    "--since",
    type=shared_options.Since(),
    metavar="TIME",
    help="Only what was printed in the last 30s, 5m, 2h, or since 2026-01-31T12:00:00Z.",
)
@click.option(
    "--timestamps",
    is_flag=True,
    help="Begin each line with its time (as --since: while the container is there).",
)
@click.option("--attempt", type=click.IntRange(min=0), metavar="NUMBER", help="Default: the latest.")
@shared_options.namespace_option
@shared_options.settings_options(
    "specs", "status_dir", "log_dir", "state_dir", *shared_options.ENGINE_OPTIONS
)
def logs(
    job: str,
    *,
    node: int | None,
    step: str | None,
    all_containers: bool,
    container: str | None,
    follow: bool,
    tail: int | None,
    attempt: int | None,
    since: float | None,
    timestamps: bool,
    namespace: str | None,
    settings: Settings,
) -> None:
    """Print the log of a job's node, step or of all its containers."""
    if sum(x is not None for x in (node, step, container)) + all_containers > 1:
        raise click.UsageError("Give one of --node, --step, --container and --all.")
    reader = open_reader(settings)
    if attempt is not None and (since is not None or timestamps):
        raise click.UsageError(
            "--since and --timestamps are of the containers that there are now: no --attempt."
        )
    selection = LogSelection(node=node, step=step, container=container, all_containers=all_containers)
    snapshot = reader.snapshot()
    try:
        found = snapshot.find(job, namespace)
    except JobNotFound:
        gone = _find_gone(job, namespace, selection, settings, snapshot)
        if gone is None:
            raise
        _print_once(gone, attempt=attempt, tail=tail)
        return
    job_logs = _JobLogs(job=found, selection=selection, settings=settings)
    if since is not None or timestamps:
        dated = DatedOutput(since=since, timestamps=timestamps, follow=follow, tail=tail)
        print_dated(found, selection, settings, dated)
    elif follow:
        _Follower(reader, job_logs).run(attempt=attempt, tail=tail)
    else:
        _print_once(job_logs, attempt=attempt, tail=tail)


@dataclass(frozen=True, kw_only=True)
class _JobLogs:
    """A job, and which of its containers are selected.

    Attributes:
        former: the folder of its logs, where the job is gone.
    """

    job: Job
    selection: LogSelection
    settings: Settings
    former: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of this object's logs by the settings; where there is none, as its daemon has it."""
        if self.former is not None:
            return self.former
        by_name = job_log_folder(self.settings.log_dir, self.job.namespace, self.job.name)
        folder = owned_folder(by_name, self.job.uid)
        return folder if folder.is_dir() else find_log_folder(self.job, self.settings.log_dir)

    @property
    def has_started(self) -> bool:
        """Whether the job has had a container."""
        return any(node.container_id for node in self.job.nodes)

    def files(self, attempt: int) -> dict[Path, str]:
        """Returns the log files of an attempt with their labels."""
        return select_log_files(self.job, self.folder, attempt, self.selection)

    def print_from_engine(self, *, follow: bool, tail: int | None) -> None:
        """Prints what the engine has of a container without a kept log.

        Raises:
            ReconcilerError: it has none either.
        """
        name = self.selection.container_name(self.job)
        if not name or not self.has_started:
            raise self.missing_error()
        try:
            with connect_to_engine_of(self.job, self.settings) as engine:
                _copy(engine.logs(name, follow=follow, tail=tail))
        except (EngineUnavailable, NotFound):
            raise self.missing_error() from None

    def missing_error(self) -> ReconcilerError:
        """Returns the error that there is no log, with what the job does instead."""
        job = self.job
        names = ", ".join(node.name for node in job.nodes)
        wanted = self.selection.container_name(job) or job.name
        if self.former is not None:
            return ReconcilerError(f"There is no log of {wanted} in {self.former}; the job is gone.")
        state = f"{job.name} is {job.phase}" + (f": {job.message}" if job.message else "")
        remedy = f"Its containers: {names}." if names and wanted not in names else ""
        return ReconcilerError(f"There is no log of {wanted}; {state.rstrip('.')}.", remedy=remedy)


def _copy(logs: LogStream) -> None:
    # Engines give generators: closing one ends the request.
    with closing(cast("Generator[bytes, None, None]", logs)) as pieces:
        for piece in pieces:
            _write(piece)
            sys.stdout.flush()


def _find_gone(
    text: str, namespace: str | None, selection: LogSelection, settings: Settings, snapshot: Snapshot
) -> _JobLogs | None:
    """Returns the logs of the job of that name that was deleted last, and says so; None without any."""
    namespace, name = snapshot.parse_name(text, namespace)
    if any(job.name == name and namespace in {None, job.namespace} for job in snapshot.jobs):
        return None  # several jobs have the name: that is the user's to say
    folders = find_former_folders(settings.log_dir, name, namespace)
    if namespace is None:
        folders.sort(key=lambda found: found[0] != DEFAULT_NAMESPACE)
    if not folders:
        return None
    space, folder = folders[0]
    owner = read_owner(folder)
    when = f" It was deleted at {format_time(owner.deleted_at)}." if owner and owner.deleted_at else ""
    print_note(
        f"There is no job {name} any more.{when} These are the logs that were kept of it, from {folder}:"
    )
    job = Job(space, name, None, None)
    return _JobLogs(job=job, selection=selection, settings=settings, former=folder)


def _print_once(job_logs: _JobLogs, *, attempt: int | None, tail: int | None) -> None:
    attempts = list_attempts(job_logs.folder)
    if attempt is not None and attempt not in attempts:
        raise ReconcilerError(
            f"There is no log of attempt {attempt} of {job_logs.job.name}.",
            remedy=f"There are: {attempts or 'none'}.",
        )
    latest = attempt if attempt is not None else attempts[-1] if attempts else 0
    files = job_logs.files(latest)
    if not files:
        job_logs.print_from_engine(follow=False, tail=tail)
        return
    unlabelled = len(files) == 1 and job_logs.selection.is_single
    for path, label in files.items():
        file = FileTail(path)
        file.seek_to_tail(tail)
        _write_new(file, label, unlabelled=unlabelled)
        _write_rest(file, label)


class _Follower:
    """Prints files as they grow until the job has ended; a new attempt is followed, too."""

    def __init__(self, reader: SnapshotReader, job_logs: _JobLogs) -> None:
        self._reader = reader
        self._logs = job_logs
        #: By the file's name: the folder of a deleted job is renamed.
        self._files: dict[str, tuple[str, FileTail]] = {}
        self._job_read_at = 0.0
        #: The job was deleted; one made again under its name is another.
        self._gone = False

    def run(self, *, attempt: int | None, tail: int | None) -> None:
        """Follows until nothing more is expected."""
        current = attempt
        first = True
        quiet_since: float | None = None
        while True:
            newest = (
                attempt if attempt is not None else max(list_attempts(self._logs.folder), default=current)
            )
            if newest != current:
                if current is not None:
                    self._print_new()
                    self._close()
                    print_note(f"--- attempt {newest} ---")
                current = newest
            if current is not None:
                self._open(current, tail if first else None)
            if first and not self._files and self._follow_engine(tail):
                return
            first = first and not self._files
            grew = self._print_new()
            now = time.monotonic()
            if grew or not self._has_ended(now):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= QUIET_PERIOD:
                self._close()
                if not list_attempts(self._logs.folder):
                    raise self._logs.missing_error()
                return
            time.sleep(READ_INTERVAL)

    def _open(self, attempt: int, tail: int | None) -> None:
        for path, label in self._logs.files(attempt).items():
            if path.name in self._files:
                self._files[path.name][1].path = path
            else:
                file = FileTail(path)
                file.seek_to_tail(tail)
                self._files[path.name] = (label, file)

    def _print_new(self) -> bool:
        """Prints what the files have grown by; whether they have."""
        single = self._logs.selection.is_single
        grown = [_write_new(file, label, unlabelled=single) for label, file in self._files.values()]
        sys.stdout.flush()
        return any(grown)

    def _close(self) -> None:
        """Prints unfinished lines and forgets the files of this attempt."""
        for label, file in self._files.values():
            _write_rest(file, label)
        sys.stdout.flush()
        self._files.clear()

    def _has_ended(self, now: float) -> bool:
        """Whether the job has ended, is suspended or gone, or the one selected container has succeeded."""
        if not self._gone and now - self._job_read_at >= JOB_INTERVAL:
            self._job_read_at = now
            try:
                there = self._reader.snapshot().find(self._logs.job.key)
            except JobNotFound:
                self._gone = True
            else:
                job = same_object(self._logs.job, there, self._logs.settings.log_dir)
                self._gone = job is None
                self._logs = replace(self._logs, job=job) if job is not None else self._logs
        return self._gone or self._logs.selection.is_over(
            self._logs.job, [Path(name).stem for name in self._files]
        )

    def _follow_engine(self, tail: int | None) -> bool:
        """Follows the engine's log of a container whose log nobody keeps; False where the engine has none."""
        if not self._logs.has_started or not self._logs.selection.is_single:
            return False
        try:
            self._logs.print_from_engine(follow=True, tail=tail)
        except ReconcilerError:
            return False  # a file may come
        return True


def _write_new(file: FileTail, label: str, *, unlabelled: bool) -> bool:
    """Writes what was appended, as it is or as whole lines with their label; whether there was anything."""
    grew = False
    if unlabelled:
        for piece in file.read_chunks():
            _write(piece)
            grew = True
        return grew
    for line in file.read_lines():
        write_log_line(label, f"[{label}] ", line)
        grew = True
    return grew


def _write_rest(file: FileTail, label: str) -> None:
    if rest := file.read_unfinished_line():
        write_log_line(label, f"[{label}] ", rest)


def _write(piece: bytes) -> None:
    sys.stdout.buffer.write(sanitize_output(piece) if sys.stdout.isatty() else piece)
