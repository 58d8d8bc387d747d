"""Admission of runtimes, as upstream's webhook has it.

A runtime labelled ``trainer.kubeflow.org/webhook-validation: disabled`` is not checked here (upstream ships
its own runtimes so); the schema and JobSet's rules hold for it all the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.api import runtime_lookup
from reconciler.api.models.runtime import Runtime
from reconciler.names import API_GROUP

LABEL_WEBHOOK: Final = f"{API_GROUP}/webhook-validation"
LABEL_SUPPORT: Final = f"{API_GROUP}/support"


def is_deprecated(runtime: Runtime) -> bool:
    """Whether the runtime is marked to go away."""
    return runtime.metadata.labels.get(LABEL_SUPPORT) == "deprecated"


def check(runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault that upstream's webhook finds in a runtime."""
    if runtime.metadata.labels.get(LABEL_WEBHOOK) == "disabled":
        return
    for index, job in enumerate(runtime_lookup.jobset_of(runtime).replicated_jobs):
        ancestor = runtime_lookup.ancestor_of(job)
        required = runtime_lookup.REQUIRED_CONTAINERS.get(ancestor)
        if required is None:
            continue
        if job.replicas != 1:
            yield (
                f"{runtime_lookup.job_path(index)}.replicas",
                (
                    f"Invalid value: {job.replicas}: always must be 1 for the ancestor {ancestor}; "
                    "the number of nodes is mlPolicy.numNodes or the TrainJob's spec.trainer.numNodes"
                ),
            )
        pod = runtime_lookup.pod_of(job)
        if required not in {container.name for container in (pod.containers if pod else ())}:
            yield (
                f"{runtime_lookup.pod_path(index)}.containers",
                (
                    f"Invalid value: must contain the required container for the ancestor: {ancestor}; "
                    f"name a container {required!r}"
                ),
            )
