"""What a job lacks to start, with its runtime and patches laid together: images and volumes.

Upstream admits such jobs and the cluster then fails to make their pods, so these are warnings.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.api import runtime_lookup
from reconciler.api.models.core.container import Container
from reconciler.api.models.jobset import ReplicatedJob
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation.runtime_patch_rules import jobs_of, patched_mounts, pod_of


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each thing without which a container of the job cannot be made."""
    policy = runtime.spec.ml_policy
    frameworks = policy.frameworks if policy else ()
    for step in runtime_lookup.jobset_of(runtime).replicated_jobs:
        volumes = _volumes(job, runtime, step)
        for container in runtime_lookup.containers_of(step):
            if not container.image and not _given_image(job, step, container):
                message = f"container {container.name} of job {step.name} has no image; the job cannot start"
                yield "spec.runtimeRef", message
            mounts = {mount.name for mount in container.volume_mounts}
            mounts |= patched_mounts(job, step.name, container.name)
            for missing in sorted(mounts - volumes) if not {"mpi", "flux"} & set(frameworks) else ():
                yield (
                    "spec.runtimeRef",
                    (
                        f"container {container.name} of job {step.name} mounts the volume {missing!r}, which "
                        "neither the runtime nor a patch defines; the job cannot start"
                    ),
                )


def _given_image(job: TrainJob, step: ReplicatedJob, container: Container) -> bool:
    """Whether the TrainJob's own image is this container's."""
    trainer = job.spec.trainer
    is_node = (
        container.name == runtime_lookup.NODE and runtime_lookup.ancestor_of(step) == runtime_lookup.TRAINER
    )
    return bool(is_node and trainer and trainer.image)


def _volumes(job: TrainJob, runtime: Runtime, step: ReplicatedJob) -> set[str]:
    """Names of the volumes that a step's pods have."""
    pod = runtime_lookup.pod_of(step)
    names = {volume.name for volume in (pod.volumes if pod else ())}
    for policy in runtime_lookup.jobset_of(runtime).volume_claim_policies:
        names |= {claim.metadata.name for claim in policy.templates if claim.metadata and claim.metadata.name}
    for patch in job.spec.runtime_patches:
        for patched in jobs_of(patch):
            if patched.name == step.name and (spec := pod_of(patched)):
                names |= {volume.name for volume in spec.volumes}
    return names
