"""``reconciler suspend``: stops jobs by ``spec.suspend`` in their manifests."""

from __future__ import annotations

from reconciler.cli.edit_command import edit_command
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.manifests.manifest_editor import ObjectRef, set_suspend
from reconciler.config.settings import Settings


@edit_command(
    commit="suspend: true in its spec", examples=("reconciler suspend demo", "reconciler suspend team-a/demo")
)
def suspend(_job: Job, ref: ObjectRef, _settings: Settings) -> str:
    """Stop the containers of a job; `resume` starts it again."""
    return "suspended" if set_suspend(ref, suspend=True) else "was suspended already"
