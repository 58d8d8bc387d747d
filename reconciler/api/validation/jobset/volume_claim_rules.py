"""Rules of JobSet's webhook for ``volumeClaimPolicies``, on a job with its patches.

They cannot be checked on a runtime alone: a patch may mount the claim.
"""

from __future__ import annotations

from reconciler.api.faults import Findings
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.step_names import INITIALIZER_VOLUME
from reconciler.api.validation.runtime_patch_rules import find_patched_mounts


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields a fault for each claim that nothing mounts, or whose name a patch gives to a volume."""
    jobset = runtime.spec.jobset
    mounted = {
        name
        for step in jobset.replicated_jobs
        for container in step.containers
        for name in (
            *(mount.name for mount in container.volume_mounts),
            *find_patched_mounts(job, step.name, container.name),
        )
    }
    # initializer_rules reports a missing mount of the initializers' volume, and more exactly.
    reported = {INITIALIZER_VOLUME} if job.spec.initializer else set()
    for name in jobset.claim_names:
        if name not in mounted | reported:
            yield (
                "spec.runtimeRef",
                (
                    f"Invalid value: no container has a volumeMount of {name!r}, a claim of the runtime's "
                    "volumeClaimPolicies; mount it in one of the replicated jobs, or remove the claim"
                ),
            )
    for index, patch in enumerate(job.spec.runtime_patches):
        for position, patched in enumerate(patch.replicated_jobs):
            base = (
                f"spec.runtimePatches[{index}].trainingRuntimeSpec.template.spec.replicatedJobs[{position}]"
            )
            for number, volume in enumerate(patched.pod_spec.volumes if patched.pod_spec else ()):
                if volume.name in jobset.claim_names:
                    path = f"{base}.template.spec.template.spec.volumes[{number}].name"
                    yield path, describe_conflict(volume.name)


def describe_conflict(name: str) -> str:
    """Returns the message for a volume that has a claim's name."""
    return (
        f'Invalid value: "{name}": volume name conflicts with the claim of that name in volumeClaimPolicies; '
        "remove the volume (the claim is one), or give it another name"
    )
