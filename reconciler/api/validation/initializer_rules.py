"""Admission of ``spec.initializer``: the runtime must have the jobs that fetch dataset and model."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.api import runtime_lookup
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation.runtime_patch_rules import patched_mounts


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each initializer that the runtime cannot run."""
    initializer = job.spec.initializer
    if initializer is None:
        return
    if initializer.dataset is not None:
        yield from _job(job, runtime, runtime_lookup.DATASET_INITIALIZER, "dataset")
    if initializer.model is not None:
        yield from _job(job, runtime, runtime_lookup.MODEL_INITIALIZER, "model")


def _job(job: TrainJob, runtime: Runtime, name: str, field: str) -> Iterator[tuple[str, str]]:
    path, shown = "spec.runtimeRef", f'Invalid value: runtime "{job.spec.runtime_ref.name}"'
    step = runtime_lookup.find_job(runtime, name)
    if step is None:
        yield (
            path,
            (
                f"{shown}: must have {name} job when trainJob is configured with input {field}Config "
                f"(spec.initializer.{field}); use a runtime that has one, or remove spec.initializer.{field}"
            ),
        )
        return
    container = next(
        (container for container in runtime_lookup.containers_of(step) if container.name == name), None
    )
    if container is None:
        yield path, f"{shown}: must have container with name - {name} in the {name} job"
        return
    mounts = {mount.name for mount in container.volume_mounts} | patched_mounts(job, name, name)
    if runtime_lookup.INITIALIZER_VOLUME not in mounts:
        yield (
            path,
            (
                f"{shown}: must have volumeMount with name - {runtime_lookup.INITIALIZER_VOLUME} in container {name} "
                f"of the {name} job; give the runtime a volume {runtime_lookup.INITIALIZER_VOLUME!r} "
                "(as in volumeClaimPolicies) and mount it there and in the trainer"
            ),
        )
