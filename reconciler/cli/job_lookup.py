"""Jobs for commands: :mod:`reconciler.client.jobs.job_snapshots`, with what its parts have to say on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.client.jobs import job_snapshots
from reconciler.client.jobs.job_snapshots import NO_STATUS, Job, JobNotFound, Snapshot
from reconciler.names import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

__all__ = ["NO_STATUS", "Job", "JobNotFound", "Reader", "Snapshot", "find_job", "job_names", "take"]


class Reader(job_snapshots.Reader):
    """See :class:`reconciler.client.jobs.job_snapshots.Reader`."""

    def __init__(self, settings: Settings) -> None:
        from reconciler.config import logging_setup  # noqa: PLC0415  (not for --help)

        # What the reading parts have to say goes to standard error, whatever structlog does by default.
        logging_setup.configure(form=settings.log_format, level="warning")
        super().__init__(settings)


def take(settings: Settings) -> Snapshot:
    """Read folder and sidecars once.

    Raises:
        ReconcilerError: the folder is not there, or cannot be read.
    """
    return Reader(settings).snapshot()


def find_job(settings: Settings, text: str, namespace: str | None = None) -> Job:
    """One job by name; see :meth:`Snapshot.find`.

    Raises:
        JobNotFound: none, or several in other namespaces.
        ReconcilerError: the folder is not there, or cannot be read.
    """
    return take(settings).find(text, namespace)


def job_names(settings: Settings) -> list[str]:
    """How the jobs are called on the command line: the name, with its namespace unless it is default."""
    return [job.name if job.namespace == DEFAULT_NAMESPACE else job.key for job in take(settings).jobs]
