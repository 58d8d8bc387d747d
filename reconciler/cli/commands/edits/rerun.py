"""``reconciler rerun``: runs jobs again, by a new value of an annotation in their manifests."""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.cli.edit_command import edit_command
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.manifests.manifest_editor import ObjectRef, set_annotation
from reconciler.config.settings import Settings
from reconciler.names import ANNOTATION_RERUN


@edit_command(
    commit=f"a new value of the annotation {ANNOTATION_RERUN}",
    examples=("reconciler rerun demo", "reconciler wait demo"),
)
def rerun(job: Job, ref: ObjectRef, _settings: Settings) -> str:
    """Run a job again from its beginning, whatever became of it."""
    # Microseconds, so that every request differs from the one before.
    token = datetime.now(tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    set_annotation(ref, ANNOTATION_RERUN, token)
    is_suspended = job.spec.get("suspend") is True
    return "will run again" + (" (it is suspended: resume it, too)" if is_suspended else "")
