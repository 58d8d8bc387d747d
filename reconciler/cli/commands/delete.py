"""``reconciler delete``: removes jobs from their files; the daemon then removes everything they have."""

from __future__ import annotations

from reconciler.cli.edit_command import edit_command
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.manifests.manifest_editor import ObjectRef, remove_object


@edit_command(commit="its removal", examples=("reconciler delete demo", "reconciler delete demo other"))
def delete(_job: Job, ref: ObjectRef) -> str:
    """Remove a job from its file (and a file that is empty then); the daemon removes all it has."""
    return "deleted, the file with it" if remove_object(ref) == "file" else "deleted"
