"""Rules for ``spec.initializer``: the runtime must have the steps that fetch dataset and model."""

from __future__ import annotations

from reconciler.api.faults import Findings
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.step_names import DATASET_INITIALIZER, INITIALIZER_VOLUME, MODEL_INITIALIZER
from reconciler.api.validation.runtime_patch_rules import find_patched_mounts


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields a fault for each initializer that the runtime cannot run."""
    initializer = job.spec.initializer
    if initializer is None:
        return
    if initializer.dataset is not None:
        yield from _check_step(job, runtime, DATASET_INITIALIZER, "dataset")
    if initializer.model is not None:
        yield from _check_step(job, runtime, MODEL_INITIALIZER, "model")


def _check_step(job: TrainJob, runtime: Runtime, name: str, field: str) -> Findings:
    path, shown = "spec.runtimeRef", f'Invalid value: runtime "{job.spec.runtime_ref.name}"'
    step = runtime.spec.jobset.find_replicated_job(name)
    if step is None:
        yield (
            path,
            (
                f"{shown}: must have {name} job when trainJob is configured with input {field}Config "
                f"(spec.initializer.{field}); use a runtime that has one, or remove spec.initializer.{field}"
            ),
        )
        return
    container = next((container for container in step.containers if container.name == name), None)
    if container is None:
        yield path, f"{shown}: must have container with name - {name} in the {name} job"
        return
    mounts = {mount.name for mount in container.volume_mounts} | find_patched_mounts(job, name, name)
    if INITIALIZER_VOLUME not in mounts:
        yield (
            path,
            (
                f"{shown}: must have volumeMount with name - {INITIALIZER_VOLUME} in container {name} "
                f"of the {name} job; give the runtime a volume {INITIALIZER_VOLUME!r} "
                "(as in volumeClaimPolicies) and mount it there and in the trainer"
            ),
        )
