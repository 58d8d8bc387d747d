"""Decides which of a job's kept log files are read, and how their lines are labelled; finds these files.

Used by ``reconciler logs`` and ``get_job_logs()``. Paths are built in :mod:`reconciler.state.kept_logs`. What
can go wrong: a sidecar may be missing or older than the logs; containers are then identified by their names.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from reconciler.api.step_names import NODE
from reconciler.client.jobs.job_snapshots import Job
from reconciler.names import pod_name, qualified_name
from reconciler.state.kept_logs.log_folders import owned_folder
from reconciler.state.kept_logs.log_paths import LOG_SUFFIX, attempt_log_folder, job_log_folder, log_file
from reconciler.state.phases import ENDED_PHASES


@dataclass(frozen=True, kw_only=True)
class LogSelection:
    """Selects containers of a job; with no field set, the node of rank 0.

    Attributes:
        node: rank of a node.
        step: name of a step, with or without an index.
        container: name on the engine, with or without the job's name before it.
        all_containers: every container.
        all_nodes: every training node.
    """

    node: int | None = None
    step: str | None = None
    container: str | None = None
    all_containers: bool = False
    all_nodes: bool = False

    @property
    def is_single(self) -> bool:
        """Whether one container at most is selected, so that its bytes are passed on unchanged."""
        return self.step is None and not self.all_containers and not self.all_nodes

    def label_for(self, job: Job, name: str) -> str | None:
        """Returns the label of a container's lines (rank, else name); None where it is not selected."""
        rank, step = _rank_and_step(job, name)
        label = str(rank) if rank is not None else _without_job(job, name)
        if self.all_containers:
            selected = True
        elif self.all_nodes:
            selected = rank is not None
        elif self.container is not None:
            selected = self.container in (name, _without_job(job, name))
        elif self.step is not None:
            selected = self.step in (step, _step_from_name(job, name))
        else:
            selected = rank == (self.node or 0)
        return label if selected else None

    def container_name(self, job: Job) -> str:
        """Returns the name that the one selected container has on the engine; "" where there are several."""
        if self.container is not None:
            return self.container
        if self.step is not None:
            return f"{qualified_name(job.namespace, job.name)}-{self.step}"
        if not self.is_single:
            return ""
        rank = self.node or 0
        known = next((n.name for n in job.nodes if n.rank == rank), "")
        return known or pod_name(job.namespace, job.name, NODE, rank, 1)

    def is_over(self, job: Job, names: Collection[str]) -> bool:
        """Whether the job has ended or is suspended, or the one selected container has succeeded.

        Args:
            job: as it is now.
            names: of the selected containers that have logs.
        """
        if job.phase in ENDED_PHASES or job.phase == "Suspended":
            return True
        succeeded = {node.name for node in job.nodes if node.state == "exited" and node.exit_code == 0}
        return self.is_single and bool(names) and succeeded.issuperset(names)


def find_log_folder(job: Job, log_dir: Path) -> Path:
    """Returns the log folder of this object, by its uid; there may be none yet.

    By the sidecar (a daemon may have another ``log_dir``), else by ours.
    """
    known = next((Path(node.log) for node in job.nodes if node.log), None)
    folder = known.parent.parent if known is not None else job_log_folder(log_dir, job.namespace, job.name)
    return owned_folder(folder, job.uid)


def same_object(job: Job, now: Job, log_dir: Path) -> Job | None:
    """Returns a job as it is now; None where the job of that name is another object now.

    One that was rerun goes on in its folder. A manifest that no daemon has made an object of yet may become
    another: until it has, the job is as it was.
    """
    if not job.uid or job.uid == now.uid:
        return now
    if not now.uid:
        return job
    return now if find_log_folder(job, log_dir) == find_log_folder(now, log_dir) else None


def list_attempts(folder: Path) -> list[int]:
    """Returns the attempts that have logs in a job's folder, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal())


def select_log_files(job: Job, folder: Path, attempt: int, selection: LogSelection) -> dict[Path, str]:
    """Returns the selected log files of an attempt with their labels; nodes first, by rank."""
    attempt_folder = attempt_log_folder(folder, attempt)
    if not attempt_folder.is_dir():
        return {}
    names = [path.stem for path in attempt_folder.iterdir() if path.suffix == LOG_SUFFIX]
    labels = {name: label for name in names if (label := selection.label_for(job, name)) is not None}

    def order(name: str) -> tuple[bool, int, str]:
        rank, _ = _rank_and_step(job, name)
        return rank is None, rank or 0, name

    return {log_file(attempt_folder, name): labels[name] for name in sorted(labels, key=order)}


def _rank_and_step(job: Job, name: str) -> tuple[int | None, str]:
    """Rank and step of a container: by the sidecar, else by its name."""
    for node in job.nodes:
        if node.name == name:
            return node.rank, node.step
    step, _, index = _without_job(job, name).rpartition("-")
    return (int(index), NODE) if step == NODE and index.isdecimal() else (None, "")


def _step_from_name(job: Job, name: str) -> str:
    """``dataset-initializer`` of ``demo-dataset-initializer`` and of ``demo-dataset-initializer-1``."""
    short = _without_job(job, name)
    step, _, index = short.rpartition("-")
    return step if index.isdecimal() and step else short


def _without_job(job: Job, name: str) -> str:
    return name.removeprefix(qualified_name(job.namespace, job.name) + "-")
