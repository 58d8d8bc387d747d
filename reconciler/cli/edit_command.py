"""What ``suspend``, ``resume``, ``rerun`` and ``delete`` share: they edit the manifests of named jobs.

The engine is the daemon's; these commands change the desired state, and so work the same with the daemon
stopped, on a checkout, in a pipeline that commits the change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import shared_options
from reconciler.cli.job_lookup import open_reader
from reconciler.cli.output.console import echo
from reconciler.client.manifests.manifest_editor import ObjectRef
from reconciler.errors import ReconcilerError
from reconciler.state.phases import FINISHED_PHASES
from reconciler.state.sidecar_files import sidecar_path

if TYPE_CHECKING:
    from reconciler.api import Fault
    from reconciler.client.jobs.job_snapshots import Job, Snapshot
    from reconciler.config.settings import Settings

Edit = Callable[["Job", ObjectRef, "Settings"], str]
#: What to do with a job whose manifest is gone already; returns what was done.
WithoutManifest = Callable[["Job", "Settings"], str]


def edit_command(
    *, commit: str, examples: Sequence[str], without_manifest: WithoutManifest | None = None
) -> Callable[[Edit], click.Command]:
    """Makes a command ``NAME JOB...`` of a function that edits one job's manifest and returns what was done.

    Args:
        commit: what to commit instead where the manifests come from a repository.
        examples: lines for the help.
        without_manifest: for jobs of which only the status is left; None: that is an error.
    """

    def decorate(edit: Edit) -> click.Command:
        @shared_options.jobs_argument
        @shared_options.namespace_option
        @shared_options.settings_options("specs", "status_dir", "state_dir")
        def command(jobs: tuple[str, ...], *, namespace: str | None, settings: Settings) -> None:
            _edit_jobs(jobs, namespace, settings, _Editing(edit, commit, without_manifest))

        epilog = "\b\nExample:\n" + "\n".join(f"  {line}" for line in examples)
        return click.command(edit.__name__, help=edit.__doc__, epilog=epilog)(command)

    return decorate


@dataclass(frozen=True)
class _Editing:
    """What a command does; see :func:`edit_command`."""

    edit: Edit
    commit: str
    without_manifest: WithoutManifest | None


def _edit_jobs(names: Sequence[str], namespace: str | None, settings: Settings, command: _Editing) -> None:
    """Edits the manifest of each job; a job that is missing leaves all unchanged."""
    reader = open_reader(settings)
    snapshot = reader.snapshot()
    for name in names:
        job = snapshot.find(name, namespace)
        if settings.git is not None and job.entry is not None and not _confirms(command, settings):
            raise _from_repository(job, settings, command.commit)
    for name in names:
        # Read again: the edit before may have moved the job in its file.
        snapshot = reader.snapshot()
        job = snapshot.find(name, namespace)
        gone = job.entry is None and _fault_of_file(job, snapshot, settings) is None
        gone = gone or settings.git is not None  # its newest commit has no manifest, see _confirms
        if gone and command.without_manifest is not None:
            echo(f"{job.name}: {command.without_manifest(job, settings)}")
            continue
        ref = _find_object(job, snapshot, settings)
        echo(f"{job.name}: {command.edit(job, ref, settings)} ({ref.file})")


def _confirms(command: _Editing, settings: Settings) -> bool:
    """Whether the command confirms what the repository says already: that there is no manifest any more."""
    from reconciler.sources.git.repository_status import read_repository_status  # noqa: PLC0415  (imports yaml)

    if command.without_manifest is None:
        return False
    try:
        status = read_repository_status(settings).get("status") or {}
    except ReconcilerError:
        return False
    reasons = {c.get("reason") for c in status.get("conditions") or () if c.get("type") == "Ready"}
    return bool(reasons & {"EmptyFolder", "PathNotFound"})


def _from_repository(job: Job, settings: Settings, commit: str) -> ReconcilerError:
    file = Path(job.file)
    within = file.relative_to(settings.specs) if file.is_relative_to(settings.specs) else file
    return ReconcilerError(
        f"The manifest of {job.name} comes from the repository {settings.git}; a change of its checkout "
        "would be lost with the next revision, so nothing was changed.",
        remedy=f"Commit {commit} to {Path(settings.git_path) / within} there.",
    )


def _find_object(job: Job, snapshot: Snapshot, settings: Settings) -> ObjectRef:
    if job.entry is not None and job.entry.file:
        return ObjectRef(file=Path(job.entry.file), kind="TrainJob", namespace=job.namespace, name=job.name)
    if (fault := _fault_of_file(job, snapshot, settings)) is not None:
        raise ReconcilerError(
            f"The manifest of {job.name} cannot be changed as it is: {fault}.",
            remedy="Correct the file first (or remove it, and with it all it defines); "
            "until then its jobs go on as they were.",
        )
    if guard := _guard(job, snapshot, settings):
        raise ReconcilerError(f"There is no manifest of {job.name} to change.", remedy=guard)
    raise ReconcilerError(
        f"The manifest of {job.name} is gone already; only its status is left.",
        remedy="A running daemon removes it.",
    )


def _guard(job: Job, snapshot: Snapshot, settings: Settings) -> str:
    """Why the daemon keeps a job without its manifest; "" where it removes what is left of it."""
    from reconciler.sources.folder.catalog import describe_guard  # noqa: PLC0415  (not for --help)

    if settings.allow_empty or job.key in snapshot.catalog.removed_by_name:
        return ""
    ended = job.phase in FINISHED_PHASES
    return describe_guard(snapshot.catalog.state, settings.specs, job.short_name, ended=ended)


def _fault_of_file(job: Job, snapshot: Snapshot, settings: Settings) -> Fault | None:
    """The first fault of the file that the job's sidecar belongs to, where it cannot be read at all."""
    if job.status is None:
        return None
    for file, faults in snapshot.catalog.file_faults.items():
        sidecar = sidecar_path(Path(file), specs=settings.specs, status_dir=settings.status_dir)
        if faults and sidecar == job.status.file:
            return faults[0]
    return None
