"""``reconciler logs``: kept log files of a job's containers, printed or followed; across restarts.

Logs are files that the daemon keeps (`<log-dir>/<namespace>/<job>/<attempt>/<container>.log`), so they are
there when the containers are gone. The engine is asked only for a container that has no file.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli import shared_options
from reconciler.client.jobs.log_selection import Choice, attempts, chosen_files
from reconciler.common.sanitize import printable_output
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.cli.job_lookup import Job, Reader
    from reconciler.client.jobs.log_tailing import GrowingFile
    from reconciler.config.settings import Settings

#: Seconds between two looks at growing files.
PAUSE: Final = 0.1
#: Seconds without growth after the job's end until nothing more is expected.
QUIET: Final = 0.5
_COLORS: Final = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")

EPILOG = """\b
Example:
  reconciler logs demo                    # rank 0
  reconciler logs demo --node 2 --tail 50
  reconciler logs demo --all -f           # every container, each line with its rank
  reconciler logs demo --step dataset-initializer"""


@click.command(epilog=EPILOG)
@shared_options.job_argument
@click.option("--node", type=click.IntRange(min=0), metavar="RANK", help="Node of this rank; default: 0.")
@click.option("--step", metavar="STEP", help="Every container of a step, such as dataset-initializer.")
@click.option("--all", "everything", is_flag=True, help="Every container, each line with its rank.")
@click.option("-c", "--container", metavar="NAME", help="The container of this full name.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended, across restarts.")
@click.option("--tail", type=click.IntRange(min=0), metavar="LINES", help="Begin with the last lines.")
@click.option("--attempt", type=click.IntRange(min=0), metavar="NUMBER", help="Default: the latest.")
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir", "log_dir", "state_dir", *shared_options.ENGINE)
def logs(
    job: str,
    *,
    node: int | None,
    step: str | None,
    everything: bool,
    container: str | None,
    follow: bool,
    tail: int | None,
    attempt: int | None,
    namespace: str | None,
    settings: Settings,
) -> None:
    """Print the log of a job's node, step or of all its containers."""
    from reconciler.cli.job_lookup import Reader  # noqa: PLC0415  (not for --help)

    if sum(x is not None for x in (node, step, container)) + everything > 1:
        raise click.UsageError("Give one of --node, --step, --container and --all.")
    reader = Reader(settings)
    found = reader.snapshot().find(job, namespace)
    choice = Choice(node=node, step=step, container=container, everything=everything)
    folder = _folder(found, settings)
    if follow:
        _Follower(reader, found, folder, choice, settings).run(attempt=attempt, tail=tail)
    else:
        _print_once(found, folder, choice, settings, attempt=attempt, tail=tail)


def _folder(job: Job, settings: Settings) -> Path:
    """Where the job's logs are by the settings; where there is nothing, as its daemon has it."""
    from reconciler.client.jobs.log_lines import log_folder  # noqa: PLC0415

    folder = settings.log_dir / job.namespace / job.name
    return folder if folder.is_dir() else log_folder(job, settings.log_dir)


def _print_once(
    job: Job, folder: Path, choice: Choice, settings: Settings, *, attempt: int | None, tail: int | None
) -> None:
    from reconciler.client.jobs.log_tailing import GrowingFile  # noqa: PLC0415

    there = attempts(folder)
    if attempt is not None and attempt not in there:
        raise ReconcilerError(
            f"There is no log of attempt {attempt} of {job.name}.", remedy=f"There are: {there or 'none'}."
        )
    latest = attempt if attempt is not None else there[-1] if there else 0
    files = chosen_files(job, folder, latest, choice)
    if not files:
        _from_engine(job, choice, settings, follow=False, tail=tail)
        return
    for path, label in files.items():
        source = GrowingFile(path)
        source.skip_to_tail(tail)
        if len(files) == 1 and choice.single:
            for piece in source.pieces():
                _write(piece)
            continue
        for line in source.lines():
            _write_line(label, line)
        if rest := source.last_line():
            _write_line(label, rest)


class _Follower:
    """Prints files as they grow until the job has ended; a new attempt is followed, too."""

    def __init__(self, reader: Reader, job: Job, folder: Path, choice: Choice, settings: Settings) -> None:
        from reconciler.client.jobs.log_tailing import GrowingFile  # noqa: PLC0415

        self._new_file: Callable[[Path], GrowingFile] = GrowingFile
        self._files: dict[Path, tuple[str, GrowingFile]] = {}
        self._reader = reader
        self._job = job
        self._folder = folder
        self._choice = choice
        self._settings = settings
        self._looked = 0.0

    def run(self, *, attempt: int | None, tail: int | None) -> None:
        """Follow until nothing more will come."""
        from reconciler.cli.output.console import note  # noqa: PLC0415

        current = attempt
        first = True
        quiet_since: float | None = None
        while True:
            newest = attempt if attempt is not None else self._newest(current)
            if newest != current:
                if current is not None:
                    self._drain()
                    self._close()
                    note(f"--- attempt {newest} ---")
                current = newest
            if current is not None:
                self._open(current, tail if first else None)
            if first and not self._files and self._try_engine(tail):
                return
            first = first and not self._files
            grew = self._drain()
            now = time.monotonic()
            if grew or not self._ended(now):
                quiet_since = None
            elif quiet_since is None:
                quiet_since = now
            elif now - quiet_since >= QUIET:
                self._close()
                self._complain_if_nothing()
                return
            time.sleep(PAUSE)

    def _newest(self, current: int | None) -> int | None:
        there = attempts(self._folder)
        return max(there) if there else current

    def _open(self, attempt: int, tail: int | None) -> None:
        for path, label in chosen_files(self._job, self._folder, attempt, self._choice).items():
            if path not in self._files:
                source = self._new_file(path)
                source.skip_to_tail(tail)
                self._files[path] = (label, source)

    def _drain(self) -> bool:
        grew = False
        for label, source in self._files.values():
            if self._choice.single:
                for piece in source.pieces():
                    _write(piece)
                    grew = True
                continue
            for line in source.lines():
                _write_line(label, line)
                grew = True
        if grew:
            sys.stdout.flush()
        return grew

    def _close(self) -> None:
        """Print unfinished lines and forget the files of this attempt."""
        for label, source in self._files.values():
            if rest := source.last_line():
                _write_line(label, rest)
        sys.stdout.flush()
        self._files.clear()

    def _ended(self, now: float) -> bool:
        """Whether the job is at its end (or stopped), looked up at most twice a second."""
        from reconciler.cli.job_lookup import JobNotFound  # noqa: PLC0415
        from reconciler.state.sidecar_reader import ENDED  # noqa: PLC0415

        if now - self._looked >= 0.5:
            self._looked = now
            try:
                self._job = self._reader.snapshot().find(self._job.key)
                self._folder = _folder(self._job, self._settings)
            except JobNotFound:
                return True
        if self._job.phase in ENDED or self._job.phase == "Suspended":
            return True
        names = {path.stem for path in self._files}
        nodes = self._job.status.nodes if self._job.status is not None else ()
        done = {n.name for n in nodes if n.state == "exited" and n.exit_code == 0}
        return self._choice.single and bool(names) and names <= done

    def _try_engine(self, tail: int | None) -> bool:
        """Follow the engine's own log of a container that runs though nobody keeps its log."""
        status = self._job.status
        started = status is not None and any(n.container_id for n in status.nodes)
        if not started or not self._choice.single:
            return False
        try:
            _from_engine(self._job, self._choice, self._settings, follow=True, tail=tail)
        except ReconcilerError:
            return False  # it is waited for
        return True

    def _complain_if_nothing(self) -> None:
        if not attempts(self._folder):
            raise _no_log(self._job, self._choice)


def _from_engine(job: Job, choice: Choice, settings: Settings, *, follow: bool, tail: int | None) -> None:
    """Print what the engine has of a container without a kept log.

    Raises:
        ReconcilerError: it has none either.
    """
    from reconciler.controller.daemon.engine_connection import connect  # noqa: PLC0415  (brings the engines' clients)
    from reconciler.errors import EngineUnavailable, NotFound  # noqa: PLC0415

    name = choice.expected(job)
    if not name or not any(n.container_id for n in (job.status.nodes if job.status is not None else ())):
        raise _no_log(job, choice)
    try:
        engine = connect(_engine_of(job, settings))
    except EngineUnavailable:
        raise _no_log(job, choice) from None
    try:
        for piece in _closing(engine.logs(name, follow=follow, tail=tail)):
            _write(piece)
            sys.stdout.flush()
    except NotFound:
        raise _no_log(job, choice) from None
    finally:
        engine.close()


def _engine_of(job: Job, settings: Settings) -> Settings:
    """The engine that runs the job, by its status, where the settings leave it open."""
    engine = (job.status.status if job.status is not None else {}).get("engine")
    name = engine.get("name") if isinstance(engine, dict) else None
    if settings.engine != "auto" or name not in {"docker", "podman", "process"}:
        return settings
    return replace(settings, engine=name)


def _closing(stream: object) -> Iterator[bytes]:
    from contextlib import closing  # noqa: PLC0415
    from typing import Any, cast  # noqa: PLC0415

    with closing(cast("Any", stream)) as pieces:
        yield from pieces


def _no_log(job: Job, choice: Choice) -> ReconcilerError:
    nodes = job.status.nodes if job.status is not None else ()
    names = ", ".join(n.name for n in nodes)
    wanted = choice.expected(job) or job.name
    why = f"{job.name} is {job.phase}" + (f": {job.message}" if job.message else "")
    remedy = f"Its containers: {names}." if names and wanted not in names else ""
    return ReconcilerError(f"There is no log of {wanted}; {why.rstrip('.')}.", remedy=remedy)


def _write(piece: bytes) -> None:
    sys.stdout.buffer.write(printable_output(piece) if sys.stdout.isatty() else piece)


def _write_line(label: str, line: bytes) -> None:
    prefix = f"[{label}] "
    if sys.stdout.isatty():
        number = int(label) if label.isdecimal() else sum(map(ord, label))
        prefix = click.style(prefix, fg=_COLORS[number % len(_COLORS)])
        line = printable_output(line)
    sys.stdout.buffer.write(prefix.encode() + line.rstrip(b"\r") + b"\n")
