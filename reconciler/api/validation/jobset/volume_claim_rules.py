"""What JobSet's webhook refuses of ``volumeClaimPolicies``, with the job's patches in the pods.

A runtime alone does not say whether a claim is used: a patch may mount it. So this is asked of a job.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.api import runtime_lookup
from reconciler.api.models.jobset import JobSetSpec
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation.runtime_patch_rules import jobs_of, patched_mounts, pod_of


def claim_names(spec: JobSetSpec) -> list[str]:
    """Names of the claims that are made for the job, which are those of the volumes in its pods."""
    return [
        claim.metadata.name
        for policy in spec.volume_claim_policies
        for claim in policy.templates
        if claim.metadata and claim.metadata.name
    ]


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each claim that nothing mounts, or whose name a patch gives to a volume."""
    spec = runtime_lookup.jobset_of(runtime)
    names = claim_names(spec)
    mounted = {
        mount
        for step in spec.replicated_jobs
        for container in runtime_lookup.containers_of(step)
        for mount in (
            *(m.name for m in container.volume_mounts),
            *patched_mounts(job, step.name, container.name),
        )
    }
    # The rule of initializers says it of their volume, and more exactly.
    said = {runtime_lookup.INITIALIZER_VOLUME} if job.spec.initializer else set()
    for name in names:
        if name not in mounted | said:
            yield (
                "spec.runtimeRef",
                (
                    f"Invalid value: no container has a volumeMount of {name!r}, a claim of the runtime's "
                    "volumeClaimPolicies; mount it in one of the replicated jobs, or remove the claim"
                ),
            )
    for index, patch in enumerate(job.spec.runtime_patches):
        for position, patched in enumerate(jobs_of(patch)):
            pod = pod_of(patched)
            place = f"spec.runtimePatches[{index}].trainingRuntimeSpec.template.spec"
            base = f"{place}.replicatedJobs[{position}].template.spec.template.spec.volumes"
            for number, volume in enumerate(pod.volumes if pod else ()):
                if volume.name in names:
                    yield f"{base}[{number}].name", conflict(volume.name)


def conflict(name: str) -> str:
    """What is said of a volume that has a claim's name."""
    return (
        f'Invalid value: "{name}": volume name conflicts with the claim of that name in volumeClaimPolicies; '
        "remove the volume (the claim is one), or give it another name"
    )
