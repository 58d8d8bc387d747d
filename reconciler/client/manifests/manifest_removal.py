"""Taking a job out of its folder; whoever runs the folder removes the rest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.client.manifests.manifest_editing import Target, remove_object
from reconciler.client.manifests.submission import ANNOTATION_RUNTIME
from reconciler.errors import ReconcilerError

if TYPE_CHECKING:
    from reconciler.client.jobs.job_snapshots import Job


def remove_job(job: Job) -> None:
    """Remove a job from its file, with the runtime that was made for it; a file that is empty then, too.

    Raises:
        ReconcilerError: the file cannot be changed without changing more.
        StateError: the file cannot be read or written.
    """
    target = Target(file=Path(job.file), kind="TrainJob", namespace=job.namespace, name=job.name)
    annotations = (job.manifest.get("metadata") or {}).get("annotations") or {}
    runtime = job.spec.get("runtimeRef") or {}
    left = remove_object(target)
    if left == "document" and ANNOTATION_RUNTIME in annotations and runtime.get("kind") == "TrainingRuntime":
        own = Target(
            file=target.file, kind="TrainingRuntime", namespace=job.namespace, name=str(runtime.get("name"))
        )
        _remove_if_there(own)


def _remove_if_there(target: Target) -> None:
    try:
        remove_object(target)
    except ReconcilerError:
        if target.file.exists() and target.name in target.file.read_text(encoding="utf-8", errors="replace"):
            raise
