"""Which of a job's kept log files are wanted, and what stands before their lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.names import instance_name, qualified

if TYPE_CHECKING:
    from reconciler.client.jobs.job_snapshots import Job


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which containers are wanted; nothing set is rank 0, ``ranks`` every training node."""

    node: int | None = None
    step: str | None = None
    container: str | None = None
    everything: bool = False
    ranks: bool = False

    @property
    def single(self) -> bool:
        """One container at most, so that its bytes are passed on as they are."""
        return self.step is None and not self.everything and not self.ranks

    def label(self, job: Job, name: str) -> str | None:
        """What stands before the lines of a container, when it is wanted; else None."""
        rank, step = _identity(job, name)
        short = str(rank) if rank is not None else _without_job(job, name)
        if self.everything or (self.ranks and rank is not None):
            return short
        if self.ranks:
            return None
        if self.container is not None:
            return short if name == self.container or _without_job(job, name) == self.container else None
        if self.step is not None:
            return short if self.step in (step, _step_of(job, name)) else None
        return short if rank == (self.node or 0) else None

    def expected(self, job: Job) -> str:
        """The name that the one wanted container will have, "" when there are several."""
        if self.container is not None:
            return self.container
        if self.step is not None:
            return f"{qualified(job.namespace, job.name)}-{self.step}"
        if self.everything or self.ranks:
            return ""
        rank = self.node or 0
        known = next((n.name for n in job.status.nodes if n.rank == rank), "") if job.status else ""
        return known or instance_name(job.namespace, job.name, "node", rank, 1)


def _identity(job: Job, name: str) -> tuple[int | None, str]:
    """Rank and step of a container: by the sidecar, else by its name."""
    for node in job.status.nodes if job.status is not None else ():
        if node.name == name:
            return node.rank, node.step
    short = _without_job(job, name)
    step, _, index = short.rpartition("-")
    return (int(index), "node") if step == "node" and index.isdecimal() else (None, "")


def _step_of(job: Job, name: str) -> str:
    """``dataset-initializer`` of ``demo-dataset-initializer`` and of ``demo-dataset-initializer-1``."""
    short = _without_job(job, name)
    step, _, index = short.rpartition("-")
    return step if index.isdecimal() and step else short


def _without_job(job: Job, name: str) -> str:
    return name.removeprefix(qualified(job.namespace, job.name) + "-")


def attempts(folder: Path) -> list[int]:
    """Attempts that have logs, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal())


def chosen_files(job: Job, folder: Path, attempt: int, choice: Choice) -> dict[Path, str]:
    """Log files of an attempt that are wanted, with their labels; nodes first, by rank."""
    place = folder / str(attempt)
    if not place.is_dir():
        return {}
    names = [path.stem for path in place.iterdir() if path.suffix == ".log"]
    labels = {name: choice.label(job, name) for name in names}

    def order(name: str) -> tuple[bool, int, str]:
        rank, _ = _identity(job, name)
        return rank is None, rank or 0, name

    wanted = sorted((name for name, label in labels.items() if label is not None), key=order)
    return {place / f"{name}.log": labels[name] or "" for name in wanted}
