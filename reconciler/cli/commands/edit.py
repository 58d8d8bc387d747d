"""``reconciler suspend|resume|rerun|delete``: change what is wanted, by changing the manifest.

The engine is the daemon's; these commands work the same with the daemon stopped, on a checkout, in a
pipeline that commits the change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import shared_options
from reconciler.errors import ReconcilerError
from reconciler.names import PREFIX

if TYPE_CHECKING:
    from reconciler.api.faults import Fault
    from reconciler.cli.job_lookup import Job, Snapshot
    from reconciler.client.manifests.manifest_editing import Target
    from reconciler.config.settings import Settings


def _example(*lines: str) -> str:
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


_jobs_argument = click.argument(
    "jobs", nargs=-1, required=True, metavar="JOB...", shell_complete=shared_options.complete_job
)


@click.command(epilog=_example("reconciler suspend demo", "reconciler suspend team-a/demo"))
@_jobs_argument
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir")
def suspend(jobs: tuple[str, ...], *, namespace: str | None, settings: Settings) -> int:
    """Stop the containers of a job; `resume` starts it anew."""

    def change(_job: Job, target: Target) -> str:
        from reconciler.client.manifests.manifest_editing import set_suspend  # noqa: PLC0415

        changed = set_suspend(target, suspend=True)
        return "suspended" if changed else "was suspended already"

    return _each(jobs, namespace, settings, change, commit="suspend: true in its spec")


@click.command(epilog=_example("reconciler resume demo"))
@_jobs_argument
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir")
def resume(jobs: tuple[str, ...], *, namespace: str | None, settings: Settings) -> int:
    """Let a suspended job run again."""

    def change(_job: Job, target: Target) -> str:
        from reconciler.client.manifests.manifest_editing import set_suspend  # noqa: PLC0415

        changed = set_suspend(target, suspend=False)
        return "resumed" if changed else "was not suspended"

    return _each(jobs, namespace, settings, change, commit="suspend: false in its spec")


@click.command(epilog=_example("reconciler rerun demo", "reconciler wait demo"))
@_jobs_argument
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir")
def rerun(jobs: tuple[str, ...], *, namespace: str | None, settings: Settings) -> int:
    """Run a job again from its beginning, whatever became of it."""

    def change(job: Job, target: Target) -> str:
        from reconciler.client.manifests.manifest_editing import ANNOTATION_RERUN, set_annotation  # noqa: PLC0415

        # Micro-seconds, so that every request differs from the one before.
        token = datetime.now(tz=UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        set_annotation(target, ANNOTATION_RERUN, token)
        held = " (it is suspended: resume it, too)" if job.spec.get("suspend") is True else ""
        return f"will run again{held}"

    return _each(jobs, namespace, settings, change, commit=f"a new value of the annotation {PREFIX}rerun")


@click.command(epilog=_example("reconciler delete demo", "reconciler delete demo other"))
@_jobs_argument
@shared_options.namespace_option
@shared_options.settings_options("specs", "status_dir")
def delete(jobs: tuple[str, ...], *, namespace: str | None, settings: Settings) -> int:
    """Remove a job from its file (and a file that is empty then); the daemon removes all it has."""

    def change(_job: Job, target: Target) -> str:
        from reconciler.client.manifests.manifest_editing import remove_object  # noqa: PLC0415

        return "deleted, the file with it" if remove_object(target) == "file" else "deleted"

    return _each(jobs, namespace, settings, change, commit="its removal")


def _each(
    names: Sequence[str],
    namespace: str | None,
    settings: Settings,
    change: Callable[[Job, Target], str],
    *,
    commit: str,
) -> int:
    """Change each job, looking anew for each: the change before may have moved it in its file.

    Where the manifests come from a repository, somebody has to ``commit`` something instead.
    """
    from reconciler.cli.job_lookup import Reader  # noqa: PLC0415  (not for --help)

    reader = Reader(settings)
    snapshot = reader.snapshot()
    for name in names:
        found = snapshot.find(name, namespace)  # all of them are there, or none is changed
        if settings.git is not None:
            raise _in_repository(found, settings, commit)
    for name in names:
        snapshot = reader.snapshot()
        job = snapshot.find(name, namespace)
        target = _target(job, snapshot, settings)
        done = change(job, target)
        click.echo(f"{job.name}: {done} ({target.file})")
    return 0


def _in_repository(job: Job, settings: Settings, commit: str) -> ReconcilerError:
    file = Path(job.file)
    within = file.relative_to(settings.specs) if file.is_relative_to(settings.specs) else file
    return ReconcilerError(
        f"The manifest of {job.name} comes from the repository {settings.git}; a change of its checkout "
        "would be lost with the next revision, so nothing was changed.",
        remedy=f"Commit {commit} to {Path(settings.git_path) / within} there.",
    )


def _target(job: Job, snapshot: Snapshot, settings: Settings) -> Target:
    from reconciler.client.manifests.manifest_editing import Target  # noqa: PLC0415

    if job.entry is None or not job.entry.file:
        if (fault := _in_the_way(job, snapshot, settings)) is not None:
            raise ReconcilerError(
                f"The manifest of {job.name} cannot be changed as it is: {fault}.",
                remedy="Correct the file first (or remove it, and with it all it defines); "
                "until then its jobs go on as they were.",
            )
        raise ReconcilerError(
            f"The manifest of {job.name} is gone already; only its status is left.",
            remedy="A running daemon clears it up.",
        )
    return Target(file=Path(job.entry.file), kind="TrainJob", namespace=job.namespace, name=job.name)


def _in_the_way(job: Job, snapshot: Snapshot, settings: Settings) -> Fault | None:
    """What is wrong with the file whose sidecar tells of the job: nothing in it can be found."""
    from reconciler.state.sidecar_writer import sidecar_path  # noqa: PLC0415

    if job.status is None:
        return None
    for file, faults in snapshot.catalog.file_faults.items():
        told = sidecar_path(Path(file), specs=settings.specs, status_dir=settings.status_dir)
        if faults and told == job.status.file:
            return faults[0]
    return None
