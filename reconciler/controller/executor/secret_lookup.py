"""The data of Secrets and ConfigMaps as a job's containers get it.

From the specs folder; from the progress service, for what a container needs to report; and generated, for the
Secrets that upstream's controller would create (keys of MPI and Flux), unless the folder has one of that
name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from reconciler.controller.executor.generated_secrets import GeneratedSecrets
from reconciler.controller.nodeservices.progress.progress_service import ProgressService
from reconciler.plan.frameworks.required_secrets import required_secrets
from reconciler.plan.job_plan import JobPlan
from reconciler.plan.resolver import Lookup
from reconciler.sources.folder.catalog import Catalog
from reconciler.state.record import Record


def secret_lookup(
    plan: JobPlan | None,
    record: Record,
    *,
    catalog: Callable[[], Catalog],
    progress: ProgressService | None,
    generated: GeneratedSecrets,
) -> Lookup:
    """A function from kind and name of a Secret or ConfigMap to its data; None where there is none."""
    required = {s.name: s for s in required_secrets(plan)} if plan is not None else {}

    def lookup(kind: str, name: str) -> Mapping[str, bytes | str] | None:
        objects = catalog().secrets if kind == "Secret" else catalog().configmaps
        found: Mapping[str, bytes | str] | None = objects.get((record.namespace, name))
        if progress is not None:
            data = progress.mounted_data(kind, name, record)
            if data is not None:
                return {**(found or {}), **data}
        if found is None and kind == "Secret" and name in required:
            return dict(generated.ensure(record, required[name]))
        return found

    return lookup
