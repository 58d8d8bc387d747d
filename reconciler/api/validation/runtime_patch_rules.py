"""Rules for ``spec.runtimePatches``: the manager's name, and whether the targets exist and may be patched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciler.api.faults import Findings
from reconciler.api.label_rules import check_template_labels
from reconciler.api.models.jobset import ReplicatedJob
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.runtime_patch import PodSpecPatch, RuntimePatch
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.name_syntax import validate_domain_prefixed_path
from reconciler.api.step_names import DATASET_INITIALIZER, MODEL_INITIALIZER, NODE

#: Container -> the field of a TrainJob that sets its environment, so that no patch may.
_ENV_FIELDS: Final[Mapping[str, str]] = {
    NODE: "spec.trainer.env",
    DATASET_INITIALIZER: "spec.initializer.dataset.env",
    MODEL_INITIALIZER: "spec.initializer.model.env",
}


def find_patched_mounts(job: TrainJob, step: str, container: str) -> set[str]:
    """Returns the names of the volumes that patches mount into a container."""
    return {
        mount.name
        for patch in job.spec.runtime_patches
        for patched in patch.replicated_jobs
        if patched.name == step and (pod := patched.pod_spec)
        for target in (*pod.containers, *pod.init_containers)
        if target.name == container
        for mount in target.volume_mounts
    }


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields the faults of a job's patches."""
    names = [step.name for step in runtime.spec.jobset.replicated_jobs]
    for index, patch in enumerate(job.spec.runtime_patches):
        base = f"spec.runtimePatches[{index}]"
        if problem := validate_domain_prefixed_path(patch.manager):
            yield f"{base}.manager", f'Invalid value: "{patch.manager}": {problem}'
        yield from _check_labels(patch, base)
        for position, patched in enumerate(patch.replicated_jobs):
            path = f"{base}.trainingRuntimeSpec.template.spec.replicatedJobs[{position}]"
            step = runtime.spec.jobset.find_replicated_job(patched.name)
            if step is None:
                yield (
                    f"{path}.name",
                    (
                        f'Invalid value: "{patched.name}": must not have replicated job that '
                        f"doesn't exist in the runtime job template; it has: {', '.join(names)}"
                    ),
                )
            elif pod := patched.pod_spec:
                yield from _check_containers(pod, step, f"{path}.template.spec.template.spec")


def _check_labels(patch: RuntimePatch, base: str) -> Findings:
    """Yields the faults of labels and annotations for the JobSet, its jobs and their pods."""
    path = f"{base}.trainingRuntimeSpec.template"
    yield from check_template_labels(patch.template.metadata if patch.template else None, f"{path}.metadata")
    for position, patched in enumerate(patch.replicated_jobs):
        job, here = patched.template, f"{path}.spec.replicatedJobs[{position}].template"
        yield from check_template_labels(job.metadata if job else None, f"{here}.metadata")
        pod = job.spec.template if job and job.spec else None
        yield from check_template_labels(pod.metadata if pod else None, f"{here}.spec.template.metadata")


def _check_containers(pod: PodSpecPatch, step: ReplicatedJob, base: str) -> Findings:
    present = {container.name for container in step.containers}
    lists = (
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
            elif container.env and container.name in _ENV_FIELDS and field == "containers":
                yield (
                    f"{path}.env",
                    (
                        f"Forbidden: must not have envs for the {', '.join(sorted(_ENV_FIELDS))} containers; "
                        f"set {_ENV_FIELDS[container.name]} instead"
                    ),
                )
