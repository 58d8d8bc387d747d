"""``reconciler plan``: the networks and containers that manifests ask for; touches nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import shared_options
from reconciler.names import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from reconciler.api import Document, Fault
    from reconciler.config.settings import Settings
    from reconciler.plan.job_plan import JobPlan
    from reconciler.sources.folder.catalog import RuntimeKey

EPILOG = """\b
Example:
  reconciler plan specs/
  reconciler plan specs/ -o json | jq '.jobs[].containers[] | {name, image, env}'"""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@shared_options.output_option("yaml", "json", default="yaml")
@shared_options.settings_options("runtime_sources", others=False)
def plan(paths: tuple[str, ...], *, form: str, settings: Settings) -> int:
    """Show the containers that manifests become; PATHs are files, folders or - and count as one folder."""
    from reconciler.cli import manifest_arguments  # noqa: PLC0415  (not for --help)
    from reconciler.cli.commands.validate import as_data  # noqa: PLC0415
    from reconciler.cli.output.console import emit, note  # noqa: PLC0415
    from reconciler.cli.policy_faults import policy_faults, settings_for  # noqa: PLC0415
    from reconciler.plan.policy.violations import REASON  # noqa: PLC0415

    read = manifest_arguments.read(paths)
    further = manifest_arguments.further_runtimes(settings.runtime_sources)
    faults = manifest_arguments.check_all(read, further)
    jobs, found = _plan_all(read.documents, further.documents, faults)
    plans = plans_of(read.documents, further.documents, faults)
    found += policy_faults(plans, settings_for(settings, paths), severity="warning")
    faults = manifest_arguments.unique([*faults, *found])
    emit({"jobs": jobs, **as_data(faults)}, form)
    errors = [fault for fault in faults if fault.severity == "error"]
    if form == "yaml":
        for fault in faults:
            if fault.severity == "error" or fault.reason == REASON:
                note(str(fault))
    return 1 if errors else 0


def _plan_all(
    documents: Sequence[Document], further: Sequence[Document], faults: Sequence[Fault]
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """A plan for each TrainJob without an error, and what planning has found."""
    from reconciler.api import ClusterTrainingRuntime, Fault, TrainingRuntime, TrainJob  # noqa: PLC0415
    from reconciler.errors import PlanError  # noqa: PLC0415
    from reconciler.plan import build  # noqa: PLC0415
    from reconciler.plan.plan_json import render_job  # noqa: PLC0415

    refused = {fault.object for fault in faults if fault.severity == "error"}
    runtimes = _runtimes(documents, further, refused)
    jobs: list[dict[str, Any]] = []
    found: list[Fault] = []
    for document in documents:
        if not isinstance(document.model, TrainJob) or document.object in refused:
            continue
        runtime = runtimes.get(_runtime_key(document))
        if runtime is None or not isinstance(runtime.model, ClusterTrainingRuntime | TrainingRuntime):
            continue  # `check` has said why
        try:
            made = build(document.model, runtime.model)
            rendered = render_job(made, lookup=_lookup(documents, document.namespace, refused))
        except PlanError as error:
            found.append(_fault(Fault, document, error.path, str(error), "error"))
            continue
        jobs.append(rendered)
        found += [_fault(Fault, document, path, text, "warning") for path, text in made.warnings]
    return jobs, _unsaid(found, faults)


def plans_of(
    documents: Sequence[Document], further: Sequence[Document], faults: Sequence[Fault]
) -> list[tuple[Document, Document, JobPlan]]:
    """Each TrainJob without an error, with its runtime and what they become."""
    from reconciler.api import ClusterTrainingRuntime, TrainingRuntime, TrainJob  # noqa: PLC0415
    from reconciler.errors import PlanError  # noqa: PLC0415
    from reconciler.plan import build  # noqa: PLC0415

    refused = {fault.object for fault in faults if fault.severity == "error"}
    runtimes = _runtimes(documents, further, refused)
    made: list[tuple[Document, Document, JobPlan]] = []
    for document in documents:
        if not isinstance(document.model, TrainJob) or document.object in refused:
            continue
        runtime = runtimes.get(_runtime_key(document))
        if runtime is None or not isinstance(runtime.model, ClusterTrainingRuntime | TrainingRuntime):
            continue
        try:
            made.append((document, runtime, build(document.model, runtime.model)))
        except PlanError:
            continue  # `plan` says why
    return made


def _runtimes(
    documents: Sequence[Document], further: Sequence[Document], refused: set[str]
) -> Mapping[RuntimeKey, Document]:
    """Usable runtimes by kind, namespace and name: those given, then further ones, the first wins."""
    given = [d for d in documents if d.kind.endswith("TrainingRuntime") and d.object not in refused]
    usable = [d for d in [*reversed(further), *given] if d.model is not None]
    return {(d.kind, d.namespace, d.name): d for d in usable}


def _lookup(
    documents: Sequence[Document], namespace: str, refused: set[str]
) -> Callable[[str, str], Mapping[str, bytes] | None]:
    """Data of a namespace's Secrets and ConfigMaps by kind and name."""
    from reconciler.sources.folder.last_good import configmap_data, secret_data  # noqa: PLC0415

    decode = {"Secret": secret_data, "ConfigMap": configmap_data}
    found = {
        (d.kind, d.name): d
        for d in documents
        if d.kind in decode and (d.namespace or DEFAULT_NAMESPACE) == namespace and d.object not in refused
    }

    def lookup(kind: str, name: str) -> Mapping[str, bytes] | None:
        document = found.get((kind, name))
        return decode[kind](document) if document is not None and document.model is not None else None

    return lookup


def _runtime_key(document: Document) -> RuntimeKey:
    from reconciler.sources.folder.catalog import runtime_key  # noqa: PLC0415

    return runtime_key(document)


def _fault(make: type[Fault], document: Document, path: str, message: str, severity: Any) -> Fault:
    return make(
        file=document.file,
        line=document.line_of(path),
        path=path,
        message=message,
        object=document.object,
        severity=severity,
    )


def _unsaid(found: Sequence[Fault], said: Sequence[Fault]) -> list[Fault]:
    """Without those that the check has found, too."""
    known = {(fault.path, fault.message) for fault in said}
    return [fault for fault in found if (fault.path, fault.message) not in known]
