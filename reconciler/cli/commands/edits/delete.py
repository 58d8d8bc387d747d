"""``reconciler delete``: removes jobs from their files; the daemon then removes everything they have."""

from __future__ import annotations

from reconciler.cli.edit_command import edit_command
from reconciler.cli.output.console import print_note
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.manifests.job_removal import remove_by_name, request_removal
from reconciler.client.manifests.manifest_editor import ObjectRef, remove_object
from reconciler.config.settings import Settings
from reconciler.errors import ReconcilerError


def _delete_remains(job: Job, settings: Settings) -> str:
    """Has what a job without manifest still has removed: an emptied folder alone is not believed."""
    if not request_removal(job, settings, warn=print_note):
        raise ReconcilerError(
            f"The manifest of {job.short_name} is gone already; only its status is left.",
            remedy="A running daemon removes it.",
        )
    return "deleted; its manifest was gone already, a running daemon removes what is left"


@edit_command(
    commit="its removal",
    examples=("reconciler delete demo", "reconciler delete demo other"),
    without_manifest=_delete_remains,
)
def delete(job: Job, ref: ObjectRef, settings: Settings) -> str:
    """Remove a job from its file (and a file that is empty then); the daemon removes all it has."""
    removed, _ = remove_by_name(job, settings, lambda: remove_object(ref), warn=print_note)
    return "deleted, the file with it" if removed == "file" else "deleted"
