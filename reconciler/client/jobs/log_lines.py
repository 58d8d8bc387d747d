"""Lines of a job's kept logs: what there is, or as they come, of one container or of all ranks at once.

Logs are files that whoever runs the job keeps, one for each container and attempt; the sidecar says where.
What can go wrong: a job that is started again has new files (they are followed, too), and a job that is
deleted meanwhile ends the lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.client.client_errors import InvalidRequest, JobNotThere
from reconciler.client.jobs.log_selection import Choice, attempts, chosen_files
from reconciler.client.jobs.log_tailing import GrowingFile
from reconciler.client.jobs.trainjob_objects import step_name
from reconciler.state.sidecar_reader import ENDED

if TYPE_CHECKING:
    from reconciler.client.jobs.job_snapshots import Job

#: Seconds between two looks at growing files.
PAUSE: Final = 0.05
#: Seconds without growth after the end until nothing more is expected: the last lines may come after it.
QUIET: Final = 0.4
#: Seconds between two looks at the job itself.
LOOK: Final = 0.2


def choice_of(step: str | None, node_index: int | None) -> Choice:
    """Which containers are meant; nothing given: all training nodes."""
    if node_index is not None:
        return Choice(node=node_index)
    if step is None:
        return Choice(ranks=True)
    head, _, index = step.rpartition("-")
    return Choice(node=int(index)) if head == "node" and index.isdecimal() else Choice(step=step)


def log_folder(job: Job, log_dir: Path) -> Path:
    """Where a job's logs are: by the sidecar (its writer may keep them elsewhere), else as set up here."""
    nodes = job.status.nodes if job.status is not None else ()
    known = next((Path(node.log) for node in nodes if node.log), None)
    return known.parent.parent if known is not None else log_dir / job.namespace / job.name


def require_known(job: Job, choice: Choice, log_dir: Path) -> None:
    """See that the job has what is chosen, as far as its status tells what it has.

    Raises:
        InvalidRequest: it has no such step or node.
    """
    nodes = job.status.nodes if job.status is not None else ()
    if choice.ranks or not nodes or any(choice.label(job, node.name) is not None for node in nodes):
        return
    folder = log_folder(job, log_dir)
    there = attempts(folder)
    if there and chosen_files(job, folder, there[-1], choice):
        return
    asked = choice.step if choice.step is not None else f"node-{choice.node}"
    raise InvalidRequest(
        f"The job {job.name} has no step {asked}.", remedy=f"It has: {', '.join(map(step_name, nodes))}."
    )


def lines_now(job: Job, choice: Choice, log_dir: Path) -> Iterator[str]:
    """Lines of the latest attempt, rank by rank, each with its end."""
    folder = log_folder(job, log_dir)
    there = attempts(folder)
    files = chosen_files(job, folder, there[-1], choice) if there else {}
    several = not choice.single and max(job.nodes_total or 0, len(files)) > 1
    for path, label in files.items():
        file = GrowingFile(path)
        prefix = f"[{label}] " if several else ""
        for line in file.lines():
            yield _text(prefix, line)
        if rest := file.last_line():
            yield _text(prefix, rest)


def lines_following(look: Callable[[], Job], choice: Choice, log_dir: Path) -> Iterator[str]:
    """Lines of all chosen containers as they come, until the job has ended; restarts included.

    Args:
        look: the job as it is now; raises JobNotThere once it is gone.
        choice: which containers.
        log_dir: where logs are unless the sidecar says.
    """
    job = look()
    files: dict[Path, tuple[str, GrowingFile]] = {}
    several = not choice.single and (job.nodes_total or 1) > 1
    current: int | None = None
    quiet_since: float | None = None
    looked = time.monotonic()
    while True:
        folder = log_folder(job, log_dir)
        newest = max(attempts(folder), default=None)
        if newest is not None and newest != current:
            yield from _rests(files, several=several)
            files.clear()
            current = newest
        if current is not None:
            for path, label in chosen_files(job, folder, current, choice).items():
                files.setdefault(path, (label, GrowingFile(path)))
        grew = False
        for line in _grown(files, several=several):
            grew = True
            yield line
        now = time.monotonic()
        if now - looked >= LOOK:
            looked = now
            try:
                job = look()
            except JobNotThere:
                break
            several = several or (not choice.single and (job.nodes_total or 1) > 1)
        if grew or not _ended(job, choice, files):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        elif now - quiet_since >= QUIET:
            break
        time.sleep(PAUSE)
    yield from _rests(files, several=several)


def _ended(job: Job, choice: Choice, files: dict[Path, tuple[str, GrowingFile]]) -> bool:
    if job.phase in ENDED or job.phase == "Suspended":
        return True
    nodes = job.status.nodes if job.status is not None else ()
    done = {node.name for node in nodes if node.state == "exited" and node.exit_code == 0}
    return choice.single and bool(files) and {path.stem for path in files} <= done


def _grown(files: dict[Path, tuple[str, GrowingFile]], *, several: bool) -> Iterator[str]:
    for label, file in files.values():
        prefix = f"[{label}] " if several else ""
        for line in file.lines():
            yield _text(prefix, line)


def _rests(files: dict[Path, tuple[str, GrowingFile]], *, several: bool) -> Iterator[str]:
    """Lines that were never ended."""
    for label, file in files.values():
        if rest := file.last_line():
            yield _text(f"[{label}] " if several else "", rest)


def _text(prefix: str, line: bytes) -> str:
    return prefix + line.decode("utf-8", errors="replace").rstrip("\r") + "\n"
