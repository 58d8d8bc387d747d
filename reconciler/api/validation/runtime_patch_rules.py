"""Admission of ``spec.runtimePatches``: who patches, and whether what is patched is there."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.api import runtime_lookup
from reconciler.api.models.jobset import ReplicatedJob
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.runtime_patch import ContainerPatch, PodSpecPatch, ReplicatedJobPatch, RuntimePatch
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.name_syntax import domain_prefixed_path_problem
from reconciler.api.validation.labels import template_errors

_RESERVED: dict[str, str] = {
    runtime_lookup.NODE: "spec.trainer.env",
    runtime_lookup.DATASET_INITIALIZER: "spec.initializer.dataset.env",
    runtime_lookup.MODEL_INITIALIZER: "spec.initializer.model.env",
}


def jobs_of(patch: RuntimePatch) -> tuple[ReplicatedJobPatch, ...]:
    """The replicated jobs that a patch names."""
    template = patch.training_runtime_spec.template if patch.training_runtime_spec else None
    return template.spec.replicated_jobs if template and template.spec else ()


def pod_of(job: ReplicatedJobPatch) -> PodSpecPatch | None:
    """The pod spec of a replicated job's patch."""
    spec = job.template.spec if job.template else None
    return spec.template.spec if spec and spec.template else None


def patched_mounts(job: TrainJob, step: str, container: str) -> set[str]:
    """Names of volumes that patches mount into a container."""
    return {
        mount.name
        for patch in job.spec.runtime_patches
        for patched in jobs_of(patch)
        if patched.name == step and (pod := pod_of(patched))
        for target in (*pod.containers, *pod.init_containers)
        if target.name == container
        for mount in target.volume_mounts
    }


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault in a job's patches."""
    names = [step.name for step in runtime_lookup.jobset_of(runtime).replicated_jobs]
    for index, patch in enumerate(job.spec.runtime_patches):
        base = f"spec.runtimePatches[{index}]"
        if problem := domain_prefixed_path_problem(patch.manager):
            yield f"{base}.manager", f'Invalid value: "{patch.manager}": {problem}'
        yield from _labels(patch, base)
        for position, patched in enumerate(jobs_of(patch)):
            path = f"{base}.trainingRuntimeSpec.template.spec.replicatedJobs[{position}]"
            step = runtime_lookup.find_job(runtime, patched.name)
            if step is None:
                yield (
                    f"{path}.name",
                    (
                        f'Invalid value: "{patched.name}": must not have replicated job that '
                        f"doesn't exist in the runtime job template; it has: {', '.join(names)}"
                    ),
                )
            elif pod := pod_of(patched):
                yield from _containers(pod, step, f"{path}.template.spec.template.spec")


def _labels(patch: RuntimePatch, base: str) -> Iterator[tuple[str, str]]:
    """Labels and annotations that a patch may not give, on the JobSet, its jobs and their pods."""
    template = patch.training_runtime_spec.template if patch.training_runtime_spec else None
    path = f"{base}.trainingRuntimeSpec.template"
    yield from template_errors(template.metadata if template else None, f"{path}.metadata")
    for position, patched in enumerate(jobs_of(patch)):
        job, here = patched.template, f"{path}.spec.replicatedJobs[{position}].template"
        yield from template_errors(job.metadata if job else None, f"{here}.metadata")
        pod = job.spec.template if job and job.spec else None
        yield from template_errors(pod.metadata if pod else None, f"{here}.spec.template.metadata")


def _containers(pod: PodSpecPatch, step: ReplicatedJob, base: str) -> Iterator[tuple[str, str]]:
    present = runtime_lookup.container_names(step)
    lists: tuple[tuple[str, str, tuple[ContainerPatch, ...]], ...] = (
        ("initContainers", "initContainer", pod.init_containers),
        ("containers", "container", pod.containers),
    )
    for field, word, containers in lists:
        for index, container in enumerate(containers):
            path = f"{base}.{field}[{index}]"
            if container.name not in present:
                yield (
                    f"{path}.name",
                    (
                        f'Invalid value: "{container.name}": must not have {word} that doesn\'t exist '
                        f"in the runtime job {step.name}; it has: {', '.join(sorted(present))}"
                    ),
                )
            elif container.env and container.name in _RESERVED and field == "containers":
                yield (
                    f"{path}.env",
                    (
                        f"Forbidden: must not have envs for the {', '.join(sorted(_RESERVED))} containers; "
                        f"set {_RESERVED[container.name]} instead"
                    ),
                )
