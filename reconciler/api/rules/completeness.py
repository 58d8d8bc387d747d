"""What a job lacks to start, with its runtime and patches laid together: images and volumes.

Upstream admits such jobs and the cluster then fails to make their pods, so these are warnings.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.api import steps
from reconciler.api.containers import Container
from reconciler.api.jobsets import ReplicatedJob
from reconciler.api.rules.patches import jobs_of, patched_mounts, pod_of
from reconciler.api.runtimes import Runtime
from reconciler.api.trainjobs import TrainJob


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each thing without which a container of the job cannot be made."""
    policy = runtime.spec.ml_policy
    frameworks = policy.frameworks if policy else ()
    for step in steps.jobset_of(runtime).replicated_jobs:
        volumes = _volumes(job, runtime, step)
        for container in steps.containers_of(step):
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
    is_node = container.name == steps.NODE and steps.ancestor_of(step) == steps.TRAINER
    return bool(is_node and trainer and trainer.image)


def _volumes(job: TrainJob, runtime: Runtime, step: ReplicatedJob) -> set[str]:
    """Names of the volumes that a step's pods have."""
    pod = steps.pod_of(step)
    names = {volume.name for volume in (pod.volumes if pod else ())}
    for policy in steps.jobset_of(runtime).volume_claim_policies:
        names |= {claim.metadata.name for claim in policy.templates if claim.metadata and claim.metadata.name}
    for patch in job.spec.runtime_patches:
        for patched in jobs_of(patch):
            if patched.name == step.name and (spec := pod_of(patched)):
                names |= {volume.name for volume in spec.volumes}
    return names
