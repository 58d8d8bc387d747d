"""Looking around in a runtime: its replicated jobs by name and ancestor, their containers, with paths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.api.models.core.container import Container, ResourceRequirements
from reconciler.api.models.core.pod import PodSpec
from reconciler.api.models.jobset import JobSetSpec, ReplicatedJob
from reconciler.api.models.runtime import Runtime
from reconciler.names import LABEL_ANCESTOR

TRAINER: Final = "trainer"
NODE: Final = "node"
LAUNCHER: Final = "launcher"
DATASET_INITIALIZER: Final = "dataset-initializer"
MODEL_INITIALIZER: Final = "model-initializer"
INITIALIZER_VOLUME: Final = "initializer"
#: Ancestor label -> the container that its job must have.
REQUIRED_CONTAINERS: Final = {
    TRAINER: NODE,
    DATASET_INITIALIZER: DATASET_INITIALIZER,
    MODEL_INITIALIZER: MODEL_INITIALIZER,
}
JOBS_PATH: Final = "spec.template.spec.replicatedJobs"


def jobset_of(runtime: Runtime) -> JobSetSpec:
    """The runtime's JobSet, an empty one where it has none."""
    template = runtime.spec.template
    return (template.spec if template else None) or JobSetSpec()


def job_path(index: int) -> str:
    """Path of a replicated job in a runtime."""
    return f"{JOBS_PATH}[{index}]"


def pod_path(index: int) -> str:
    """Path of a replicated job's pod spec in a runtime."""
    return f"{job_path(index)}.template.spec.template.spec"


def pod_of(job: ReplicatedJob) -> PodSpec | None:
    """The pod spec of a replicated job."""
    spec = job.template.spec
    return spec.template.spec if spec else None


def ancestor_of(job: ReplicatedJob) -> str:
    """The part in the training that a replicated job's label gives it; empty when it has none."""
    metadata = job.template.metadata
    return metadata.labels.get(LABEL_ANCESTOR, "") if metadata else ""


def containers_of(job: ReplicatedJob) -> Iterator[Container]:
    """Init containers and containers of a replicated job."""
    if pod := pod_of(job):
        yield from pod.init_containers
        yield from pod.containers


def container_names(job: ReplicatedJob) -> set[str]:
    """Names of a replicated job's containers, init containers among them."""
    return {container.name for container in containers_of(job)}


def find_job(runtime: Runtime, name: str) -> ReplicatedJob | None:
    """The replicated job of that name."""
    return next((job for job in jobset_of(runtime).replicated_jobs if job.name == name), None)


def trainer_resources(runtime: Runtime) -> ResourceRequirements | None:
    """Resources of the container ``node`` in the trainer's job."""
    for job in jobset_of(runtime).replicated_jobs:
        if ancestor_of(job) == TRAINER:
            for container in containers_of(job):
                if container.name == NODE:
                    return container.resources
    return None
