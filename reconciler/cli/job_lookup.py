"""Jobs for commands: manifests and sidecars as :mod:`reconciler.client.jobs.job_snapshots` reads them."""

from __future__ import annotations

from reconciler.client.jobs.job_snapshots import Job, Snapshot, SnapshotReader
from reconciler.client.jobs.progress_display import Progress
from reconciler.config.logging_setup import configure_logging
from reconciler.config.settings import Settings


def open_reader(settings: Settings) -> SnapshotReader:
    """Returns a reader of the folder; its log goes to standard error, as that of every command."""
    configure_logging(log_format=settings.log_format, level="warning")
    return SnapshotReader(settings)


def read_snapshot(settings: Settings) -> Snapshot:
    """Reads folder and sidecars once.

    Raises:
        ReconcilerError: the folder is not there, or cannot be read.
    """
    return open_reader(settings).snapshot()


def run_time(job: Job, now: float) -> float | None:
    """Returns the seconds that the job has run, or ran; None before its start."""
    if job.status is None or job.status.started_at is None:
        return None
    return max(0.0, (job.status.finished_at or now) - job.status.started_at)


def reported_progress(job: Job) -> Progress | None:
    """Returns what the job's training has reported; None where it has reported nothing."""
    return Progress.parse(job.reported.get("trainerStatus"))
