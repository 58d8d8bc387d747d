"""``reconciler validate``: what is wrong in manifests, where, and what to do; touches nothing."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import shared_options
from reconciler.cli.output.console import echo, print_data
from reconciler.cli.output.fault_list import fault_data, print_faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.api import Fault
    from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler validate               # the folder of --specs
  reconciler validate specs/
  kubectl get trainjob demo -o yaml | reconciler validate -
  reconciler validate new.yaml --against old.yaml   # also: may this change be made?
  reconciler validate --git https://example.com/jobs.git --path specs   # what a daemon would say of it
  reconciler validate specs/ -o json | jq '.errors[].message'"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="[PATH...]", type=click.Path())
@click.option(
    "--against",
    metavar="OLD",
    type=click.Path(exists=True),
    help="File or folder as it was before: changes to immutable fields are faults, too.",
)
@shared_options.output_option("text", "json", "yaml", default="text")
@shared_options.settings_options(
    "specs", "runtime_sources", "git", "git_ref", "git_path", "status_dir", accept_all=False
)
def validate(paths: tuple[str, ...], *, against: str | None, form: str, settings: Settings) -> int:
    """Report what is wrong in manifests; PATHs are files, folders or - and count as one folder.

    Without PATH: the folder of --specs, or with --git what the repository has now.
    """
    if not paths and settings.git is not None:
        return _validate_repository(settings, form)
    paths = paths or (str(settings.specs),)
    from reconciler.cli import manifest_arguments  # noqa: PLC0415  (not for --help: imports the models)
    from reconciler.cli.manifest_plans import check_policy, merge_faults, plan_jobs, render_jobs  # noqa: PLC0415

    manifests = manifest_arguments.read_manifests(paths, status_dir=settings.status_dir)
    runtimes = manifest_arguments.load_other_runtimes(settings.runtime_sources)
    faults = manifest_arguments.validate_manifests(manifests, runtimes)
    if against is not None:
        old = manifest_arguments.read_manifests([against])
        changes = manifest_arguments.validate_changes(old, manifests)
        faults = manifest_arguments.sort_faults([*faults, *old.unreadable, *changes])
    planned, unplanned = plan_jobs(manifests, runtimes, faults)
    _, unrendered = render_jobs(planned, manifests, faults)
    faults = merge_faults(faults, unplanned, unrendered, check_policy(planned, settings, paths))
    warnings = sum(fault.severity == "warning" for fault in faults)
    what = f"{_count(manifests.object_count, 'object')} in {_count(manifests.file_count, 'file')}"
    return _report(faults, form, what=what, more=f", {_count(warnings, 'warning')}" if warnings else "")


def _validate_repository(settings: Settings, form: str) -> int:
    """Validates what the ref of the followed repository names now."""
    from reconciler.cli.manifest_arguments import load_other_runtimes  # noqa: PLC0415  (not for --help)
    from reconciler.sources.git.git_source import GitSource  # noqa: PLC0415

    runtimes = load_other_runtimes(settings.runtime_sources).documents
    with tempfile.TemporaryDirectory(prefix="reconciler-validate-") as folder:
        apart = replace(settings, state_dir=Path(folder))
        source = GitSource(apart, runtimes=lambda: runtimes, clock=time.time)
        commit, faults = source.check_remote()
    return _report(faults, form, what=f"commit {commit}")


def _report(faults: Sequence[Fault], form: str, *, what: str, more: str = "") -> int:
    """Prints the faults, and a summary beside them; returns the exit status."""
    errors = sum(fault.severity == "error" for fault in faults)
    if form == "text":
        print_faults(faults)
        verdict = _count(errors, "error") if errors else "valid"
        echo(f"{what}: {verdict}{more}", err=True, fg="red" if errors else "green")
    else:
        print_data(fault_data(faults), form)
    return 1 if errors else 0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
