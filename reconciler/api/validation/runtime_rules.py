"""Rules of upstream's webhook for runtimes.

A runtime labelled ``trainer.kubeflow.org/webhook-validation: disabled`` is not checked here (upstream's own
runtimes have the label); the schema and JobSet's rules apply to it all the same.
"""

from __future__ import annotations

from typing import Final

from reconciler.api.faults import Findings
from reconciler.api.field_paths import pod_spec_path, replicated_job_path
from reconciler.api.models.runtime import Runtime
from reconciler.api.step_names import DATASET_INITIALIZER, MODEL_INITIALIZER, NODE, TRAINER
from reconciler.names import API_GROUP

LABEL_SUPPORT: Final = f"{API_GROUP}/support"
_LABEL_WEBHOOK: Final = f"{API_GROUP}/webhook-validation"
#: Ancestor -> the container that a replicated job with this ancestor must have.
_REQUIRED_CONTAINERS: Final = {
    TRAINER: NODE,
    DATASET_INITIALIZER: DATASET_INITIALIZER,
    MODEL_INITIALIZER: MODEL_INITIALIZER,
}


def is_deprecated(runtime: Runtime) -> bool:
    """Returns whether the runtime is labelled as deprecated."""
    return runtime.metadata.labels.get(LABEL_SUPPORT) == "deprecated"


def check(runtime: Runtime) -> Findings:
    """Yields the faults that upstream's webhook finds in a runtime."""
    if runtime.metadata.labels.get(_LABEL_WEBHOOK) == "disabled":
        return
    for index, job in enumerate(runtime.spec.jobset.replicated_jobs):
        ancestor = job.ancestor
        required = _REQUIRED_CONTAINERS.get(ancestor)
        if required is None:
            continue
        if job.replicas != 1:
            yield (
                f"{replicated_job_path(index)}.replicas",
                (
                    f"Invalid value: {job.replicas}: always must be 1 for the ancestor {ancestor}; "
                    "the number of nodes is mlPolicy.numNodes or the TrainJob's spec.trainer.numNodes"
                ),
            )
        containers = job.pod_spec.containers if job.pod_spec else ()
        if required not in {container.name for container in containers}:
            yield (
                f"{pod_spec_path(index)}.containers",
                (
                    f"Invalid value: must contain the required container for the ancestor: {ancestor}; "
                    f"name a container {required!r}"
                ),
            )
