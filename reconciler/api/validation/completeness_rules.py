"""Warnings for images and volumes that a job, its runtime and its patches together do not give.

Upstream admits such jobs, and the cluster then cannot create their pods.
"""

from __future__ import annotations

from reconciler.api.faults import Findings
from reconciler.api.framework_names import ADDING_VOLUMES
from reconciler.api.models.core.container import Container
from reconciler.api.models.jobset import ReplicatedJob
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.step_names import NODE
from reconciler.api.validation.runtime_patch_rules import find_patched_mounts


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields a warning for each missing image or volume of a container."""
    adds_volumes = not ADDING_VOLUMES.isdisjoint(runtime.spec.frameworks)
    for step in runtime.spec.jobset.replicated_jobs:
        volumes = _find_volumes(job, runtime, step)
        for container in step.containers:
            if not container.image and not _has_trainer_image(job, runtime, step, container):
                message = f"container {container.name} of job {step.name} has no image; the job cannot start"
                yield "spec.runtimeRef", message
            mounts = {mount.name for mount in container.volume_mounts}
            mounts |= find_patched_mounts(job, step.name, container.name)
            for missing in () if adds_volumes else sorted(mounts - volumes):
                yield (
                    "spec.runtimeRef",
                    (
                        f"container {container.name} of job {step.name} mounts the volume {missing!r}, which "
                        "neither the runtime nor a patch defines; the job cannot start"
                    ),
                )


def _has_trainer_image(job: TrainJob, runtime: Runtime, step: ReplicatedJob, container: Container) -> bool:
    """Returns whether the container gets the image of the TrainJob's trainer."""
    trainer = job.spec.trainer
    return bool(container.name == NODE and step in runtime.spec.trainers and trainer and trainer.image)


def _find_volumes(job: TrainJob, runtime: Runtime, step: ReplicatedJob) -> set[str]:
    """Returns the names of the volumes of a step's pods."""
    names = {volume.name for volume in (step.pod_spec.volumes if step.pod_spec else ())}
    names.update(runtime.spec.jobset.claim_names)
    for patch in job.spec.runtime_patches:
        for patched in patch.replicated_jobs:
            if patched.name == step.name and patched.pod_spec:
                names |= {volume.name for volume in patched.pod_spec.volumes}
    return names
