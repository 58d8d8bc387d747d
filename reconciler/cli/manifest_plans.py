"""Plans of the TrainJobs among manifests: ``plan`` prints them, ``validate`` checks the policy with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.api import ClusterTrainingRuntime, TrainingRuntime, TrainJob
from reconciler.errors import PlanError
from reconciler.names import DEFAULT_NAMESPACE
from reconciler.plan.builder import build
from reconciler.sources.folder.catalog import RUNTIME_KINDS, RuntimeKey, object_id, runtime_key
from reconciler.sources.folder.secret_data import decode_configmap, decode_secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.api import Document, Fault
    from reconciler.cli.manifest_arguments import Manifests
    from reconciler.plan.job_plan import JobPlan
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
    rejected = rejected_objects(faults)
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


def rejected_objects(faults: Sequence[Fault]) -> frozenset[str]:
    """Returns the objects that have an error, as ``Kind/namespace/name``."""
    return frozenset(fault.object for fault in faults if fault.severity == "error")


def _runtimes(
    manifests: Manifests, other_runtimes: LoadedRuntimes, rejected: Collection[str]
) -> Mapping[RuntimeKey, Document]:
    """Usable runtimes: those of the manifests, then the others, the first of a name wins."""
    own = [d for d in manifests.documents if d.kind in RUNTIME_KINDS and d.object not in rejected]
    return {object_id(d): d for d in [*reversed(other_runtimes.documents), *own] if d.model is not None}


def data_lookup(
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
