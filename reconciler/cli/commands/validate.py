"""``reconciler validate``: what is wrong in manifests, where, and what to do; touches nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli import shared_options
from reconciler.common.sanitize import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.api.faults import Fault
    from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler validate specs/
  kubectl get trainjob demo -o yaml | reconciler validate -
  reconciler validate new.yaml --against old.yaml   # also: may this change be made?
  reconciler validate --git https://example.com/jobs.git --path specs   # what a daemon would say of it
  reconciler validate specs/ -o json | jq '.errors[].message'"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path())
@click.option(
    "--against",
    metavar="OLD",
    type=click.Path(exists=True),
    help="File or folder as it was before: changes to immutable fields are faults, too.",
)
@shared_options.output_option("text", "json", "yaml", default="text")
@shared_options.settings_options("runtime_sources", "git", "git_ref", "git_path", others=False)
def validate(paths: tuple[str, ...], *, against: str | None, form: str, settings: Settings) -> int:
    """Say what is wrong in manifests; PATHs are files, folders or - and count as one folder."""
    from reconciler.cli import manifest_arguments  # noqa: PLC0415  (not for --help)
    from reconciler.cli.commands.plan import plans_of  # noqa: PLC0415
    from reconciler.cli.policy_faults import policy_faults, settings_for  # noqa: PLC0415

    if not paths:
        return _repository(settings, form)
    new = manifest_arguments.read(paths)
    further = manifest_arguments.further_runtimes(settings.runtime_sources)
    faults = manifest_arguments.check_all(new, further)
    if against is not None:
        old = manifest_arguments.read([against])
        faults = manifest_arguments.unique([*faults, *manifest_arguments.check_changes(old, new)])
    judged = policy_faults(plans_of(new.documents, further.documents, faults), settings_for(settings, paths))
    faults = manifest_arguments.unique([*faults, *judged])
    errors = [fault for fault in faults if fault.severity == "error"]
    if form == "text":
        _print(faults)
        _sum_up(errors, faults, new)
    else:
        from reconciler.cli.output.console import emit  # noqa: PLC0415

        emit(as_data(faults), form)
    return 1 if errors else 0


def _repository(settings: Settings, form: str) -> int:
    """What the ref of the followed repository names now."""
    import tempfile  # noqa: PLC0415  (not for --help)
    import time  # noqa: PLC0415
    from dataclasses import replace  # noqa: PLC0415

    from reconciler.cli import manifest_arguments  # noqa: PLC0415
    from reconciler.sources.git.git_source import GitSource  # noqa: PLC0415

    if settings.git is None:
        raise click.UsageError("Missing argument 'PATH...' (or --git URL).")
    runtimes = manifest_arguments.further_runtimes(settings.runtime_sources).documents
    with tempfile.TemporaryDirectory(prefix="reconciler-validate-") as folder:
        apart = replace(settings, state_dir=Path(folder), status_dir=None)
        source = GitSource(apart, runtimes=lambda: runtimes, clock=time.time)
        commit, faults = source.examine()
    errors = [fault for fault in faults if fault.severity == "error"]
    if form == "text":
        _print(faults)
        said = f"{_count(len(errors), 'error')}" if errors else "valid"
        click.secho(f"commit {commit}: {said}", err=True, fg="red" if errors else "green")
    else:
        from reconciler.cli.output.console import emit  # noqa: PLC0415

        emit(as_data(faults), form)
    return 1 if errors else 0


def as_data(faults: Sequence[Fault]) -> dict[str, list[dict[str, object]]]:
    """``{"errors": [...], "warnings": [...]}`` of the contract."""
    return {
        "errors": [fault.as_dict() for fault in faults if fault.severity == "error"],
        "warnings": [fault.as_dict() for fault in faults if fault.severity == "warning"],
    }


def _print(faults: Sequence[Fault]) -> None:
    for fault in faults:
        place = click.style(f"{printable(fault.file)}:{fault.line}:", bold=True)
        path = f" {fault.path}:" if fault.path else ""
        warning = click.style(" warning:", fg="yellow") if fault.severity == "warning" else ""
        click.echo(f"{place}{warning}{printable(path)} {printable(fault.message)}")


def _sum_up(errors: Sequence[Fault], faults: Sequence[Fault], read: object) -> None:
    from reconciler.cli.manifest_arguments import Manifests, object_count  # noqa: PLC0415

    assert isinstance(read, Manifests)  # noqa: S101  (typed late: the module is not imported for --help)
    objects = object_count(read)
    what = f"{_count(objects, 'object')} in {_count(read.files, 'file')}"
    warnings = len(faults) - len(errors)
    said = f": {_count(len(errors), 'error')}" if errors else ": valid"
    said += f", {_count(warnings, 'warning')}" if warnings else ""
    click.secho(what + said, err=True, fg="red" if errors else "green")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
