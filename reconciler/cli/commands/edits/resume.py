"""``reconciler resume``: lets suspended jobs run, by ``spec.suspend`` in their manifests."""

from __future__ import annotations

from reconciler.cli.edit_command import edit_command
from reconciler.client.jobs.job_snapshots import Job
from reconciler.client.manifests.manifest_editor import ObjectRef, set_suspend
from reconciler.config.settings import Settings


@edit_command(commit="suspend: false in its spec", examples=("reconciler resume demo",))
def resume(_job: Job, ref: ObjectRef, _settings: Settings) -> str:
    """Let a suspended job run again."""
    return "resumed" if set_suspend(ref, suspend=False) else "was not suspended"
