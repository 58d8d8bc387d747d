"""Yields the lines of a job's kept logs for ``get_job_logs()``: as they are now, or followed until the end.

Logs are files, one for each container and attempt; the daemon or controller writes them, the sidecar names
them. What can go wrong: a restarted job has new files (they are followed, too), and a job that is deleted
meanwhile ends the lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from reconciler.api.step_names import NODE
from reconciler.client.client_errors import InvalidRequest, JobNotFound
from reconciler.client.jobs.file_tail import FileTail
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.jobs.log_selection import (
    LogSelection,
    find_log_folder,
    list_attempts,
    same_object,
    select_log_files,
)
from reconciler.client.jobs.trainjob_objects import step_name

#: Seconds between two reads of growing files.
READ_INTERVAL: Final = 0.05
#: Seconds without growth after the end until nothing more is expected: the last lines may come after it.
QUIET_PERIOD: Final = 0.4
#: Seconds between two reads of the job itself.
JOB_INTERVAL: Final = 0.2

#: Label and reader by the file's name.
_Tails = dict[str, tuple[str, FileTail]]


def build_selection(step: str | None, node_index: int | None) -> LogSelection:
    """Returns what the arguments of ``get_job_logs()`` select; without any: all training nodes."""
    if node_index is not None:
        return LogSelection(node=node_index)
    if step is None:
        return LogSelection(all_nodes=True)
    head, _, index = step.rpartition("-")
    return LogSelection(node=int(index)) if head == NODE and index.isdecimal() else LogSelection(step=step)


def check_selection(job: Job, selection: LogSelection, log_dir: Path) -> None:
    """Checks that the job has what is selected, as far as its status lists what it has.

    Raises:
        InvalidRequest: it has no such step or node.
    """
    nodes = job.nodes
    if selection.all_nodes or not nodes or any(selection.label_for(job, n.name) is not None for n in nodes):
        return
    if _latest_files(job, selection, log_dir):
        return
    wanted = selection.step if selection.step is not None else f"{NODE}-{selection.node}"
    raise InvalidRequest(
        f"The job {job.name} has no step {wanted}.", remedy=f"It has: {', '.join(map(step_name, nodes))}."
    )


def read_lines(job: Job, selection: LogSelection, log_dir: Path) -> Iterator[str]:
    """Yields the lines of the latest attempt, rank by rank, each with its end."""
    files = _latest_files(job, selection, log_dir)
    labelled = not selection.is_single and max(job.nodes_total or 0, len(files)) > 1
    tails = {path.name: (label, FileTail(path)) for path, label in files.items()}
    yield from _read(tails, labelled=labelled, to_end=True)


def follow_lines(load_job: Callable[[], Job], selection: LogSelection, log_dir: Path) -> Iterator[str]:
    """Yields the lines of all selected containers as they come, until the job has ended; restarts included.

    Another job of the same name, made after this one was deleted, is not followed.

    Args:
        load_job: returns the job as it is now; raises JobNotFound once it is gone.
        selection: which containers.
        log_dir: folder of kept logs unless the sidecar names another.
    """
    job = load_job()
    tails: _Tails = {}
    labelled = _has_several(job, selection)
    attempt: int | None = None
    quiet_since: float | None = None
    loaded_at = time.monotonic()
    while True:
        folder = find_log_folder(job, log_dir)
        newest = max(list_attempts(folder), default=None)
        if newest is not None and newest != attempt:
            yield from _read(tails, labelled=labelled, to_end=True)
            tails.clear()
            attempt = newest
        if attempt is not None:
            _open_files(tails, select_log_files(job, folder, attempt, selection))
        grew = False
        for line in _read(tails, labelled=labelled):
            grew = True
            yield line
        now = time.monotonic()
        if now - loaded_at >= JOB_INTERVAL:
            loaded_at = now
            try:
                now_there = same_object(job, load_job(), log_dir)
            except JobNotFound:
                break
            if now_there is None:
                break
            job = now_there
            labelled = labelled or _has_several(job, selection)
        if grew or not selection.is_over(job, [Path(name).stem for name in tails]):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        elif now - quiet_since >= QUIET_PERIOD:
            break
        time.sleep(READ_INTERVAL)
    if attempt is not None:
        _open_files(tails, select_log_files(job, find_log_folder(job, log_dir), attempt, selection))
    yield from _read(tails, labelled=labelled, to_end=True)


def _latest_files(job: Job, selection: LogSelection, log_dir: Path) -> dict[Path, str]:
    folder = find_log_folder(job, log_dir)
    attempts = list_attempts(folder)
    return select_log_files(job, folder, attempts[-1], selection) if attempts else {}


def _open_files(tails: _Tails, files: dict[Path, str]) -> None:
    """Adds readers of new files; those of files whose folder was renamed (a deleted job's) go on there."""
    for path, label in files.items():
        tails.setdefault(path.name, (label, FileTail(path)))[1].path = path


def _has_several(job: Job, selection: LogSelection) -> bool:
    return not selection.is_single and (job.nodes_total or 1) > 1


def _read(tails: _Tails, *, labelled: bool, to_end: bool = False) -> Iterator[str]:
    """Yields whole lines that have come; ``to_end``: the unfinished ones as well."""
    for label, tail in tails.values():
        prefix = f"[{label}] " if labelled else ""
        for line in tail.read_lines():
            yield _format(prefix, line)
        if to_end and (line := tail.read_unfinished_line()):
            yield _format(prefix, line)


def _format(prefix: str, line: bytes) -> str:
    return prefix + line.decode("utf-8", errors="replace").rstrip("\r") + "\n"
