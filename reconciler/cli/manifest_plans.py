"""Plans of the TrainJobs among manifests, and what the policy refuses of them: for ``plan``, ``validate``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from reconciler.api import ClusterTrainingRuntime, Document, Fault, TrainingRuntime, TrainJob
from reconciler.cli.manifest_arguments import Manifests, sort_faults
from reconciler.common.path_presence import is_folder, is_present
from reconciler.config.settings import Settings
from reconciler.controller.enforcement.enforcer import PolicyEnforcer
from reconciler.errors import PlanError
from reconciler.names import DEFAULT_NAMESPACE
from reconciler.plan.builder import build
from reconciler.plan.job_plan import JobPlan
from reconciler.plan.plan_json import render_job
from reconciler.plan.policy.field_locations import locate_field
from reconciler.plan.policy.violations import POLICY_VIOLATION, Violation
from reconciler.sources.folder.catalog import RUNTIME_KINDS, RuntimeKey, object_id, runtime_key
from reconciler.sources.folder.secret_data import decode_configmap, decode_secret
from reconciler.sources.runtimes.remote_runtimes import LoadedRuntimes


@dataclass(frozen=True, kw_only=True)
class PlannedJob:
    """A TrainJob with its runtime, and the plan that they become."""

    job: Document
    runtime: Document
    plan: JobPlan


def plan_jobs(
    manifests: Manifests, other_runtimes: LoadedRuntimes, faults: Sequence[Fault]
) -> tuple[list[PlannedJob], list[Fault]]:
    """Builds the plan of each TrainJob without an error.

    Args:
        manifests: the jobs and their runtimes.
        other_runtimes: used where the manifests have no runtime of the name.
        faults: of both; an object with an error is left out.

    Returns:
        The plans, and the faults of jobs that have none.
    """
    rejected = _rejected_objects(faults)
    runtimes = _runtimes(manifests, other_runtimes, rejected)
    planned: list[PlannedJob] = []
    failed: list[Fault] = []
    for document in manifests.documents:
        if not isinstance(document.model, TrainJob) or document.object in rejected:
            continue
        runtime = runtimes.get(runtime_key(document))
        if runtime is None or not isinstance(runtime.model, ClusterTrainingRuntime | TrainingRuntime):
            continue  # the validation has reported why
        try:
            plan = build(document.model, runtime.model)
        except PlanError as error:
            failed.append(document.error(error.path, str(error)))
        else:
            planned.append(PlannedJob(job=document, runtime=runtime, plan=plan))
    return planned, failed


def _rejected_objects(faults: Sequence[Fault]) -> frozenset[str]:
    """Returns the objects that have an error, as ``Kind/namespace/name``."""
    return frozenset(fault.object for fault in faults if fault.severity == "error")


def _runtimes(
    manifests: Manifests, other_runtimes: LoadedRuntimes, rejected: Collection[str]
) -> Mapping[RuntimeKey, Document]:
    """Usable runtimes: those of the manifests, then the others, the first of a name wins."""
    own = [d for d in manifests.documents if d.kind in RUNTIME_KINDS and d.object not in rejected]
    return {object_id(d): d for d in [*reversed(other_runtimes.documents), *own] if d.model is not None}


def render_jobs(
    planned: Sequence[PlannedJob], manifests: Manifests, faults: Sequence[Fault]
) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Returns the JSON of each job, and what planning or rendering it has found."""
    rejected = _rejected_objects(faults)
    jobs: list[dict[str, Any]] = []
    found: list[Fault] = []
    for entry in planned:
        document = entry.job
        try:
            jobs.append(render_job(entry.plan, lookup=_data_lookup(manifests, document.namespace, rejected)))
        except PlanError as error:
            found.append(document.error(error.path, str(error)))
        else:
            warnings = (*entry.plan.warnings, *entry.plan.cluster_differences)
            found += [document.warning(path, message) for path, message in warnings]
    return jobs, found


def merge_faults(admission: Sequence[Fault], *planning: Sequence[Fault]) -> list[Fault]:
    """Returns all faults, sorted; what admission and planning both report once."""
    reported = {(fault.path, fault.message) for fault in admission}
    more = [fault for found in planning for fault in found if (fault.path, fault.message) not in reported]
    return sort_faults([*admission, *more])


def _data_lookup(
    manifests: Manifests, namespace: str, rejected: Collection[str]
) -> Callable[[str, str], Mapping[str, bytes] | None]:
    """Returns a function that gives the data of a namespace's Secret or ConfigMap by kind and name."""
    decoders = {"Secret": decode_secret, "ConfigMap": decode_configmap}
    found = {
        (d.kind, d.name): d
        for d in manifests.documents
        if d.kind in decoders and (d.namespace or DEFAULT_NAMESPACE) == namespace and d.object not in rejected
    }

    def lookup(kind: str, name: str) -> Mapping[str, bytes] | None:
        document = found.get((kind, name))
        return decoders[kind](document) if document is not None and document.model is not None else None

    return lookup


def check_policy(
    planned: Sequence[PlannedJob],
    settings: Settings,
    paths: Sequence[str],
    *,
    severity: Literal["error", "warning"] = "error",
) -> list[Fault]:
    """Returns a fault for each violation of the policy, at the line that asks for it.

    Args:
        planned: jobs with their plans.
        settings: in force; host paths within the folder of manifests are judged by where that folder is.
        paths: where the manifests are, for when the settings' folder does not exist.
        severity: of the faults.
    """
    if not is_folder(settings.specs):
        first = next((Path(path) for path in paths if path != "-"), Path())
        settings = replace(settings, specs=first if is_folder(first) else first.parent)
    enforcer = PolicyEnforcer(settings, socket=settings.container_host or "")
    return [
        replace(_violation_fault(violation, job), severity=severity)
        for job in planned
        for violation in enforcer.violations(job.plan)
    ]


def _violation_fault(violation: Violation, planned: PlannedJob) -> Fault:
    job, runtime = planned.job, planned.runtime
    location = locate_field(violation.step, violation.field, job=job.raw, runtime=runtime.raw)
    in_job = location.document == "job"
    document, path, note = job, location.path, ""
    if not in_job and is_present(runtime.file):
        document, note = runtime, f" (asked for by {job.object})"
    elif not in_job:
        # Nobody would look into the file of a built-in runtime.
        path, note = "spec.runtimeRef", f" ({location.path} of the runtime {runtime.name})"
    fault = document.error(path, f"{POLICY_VIOLATION}: {violation}{note}", reason=POLICY_VIOLATION)
    return replace(fault, object=job.object)
