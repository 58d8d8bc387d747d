"""Admission of a TrainJob against the runtime it refers to: every rule of every subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation import initializer_rules, runtime_patch_rules
from reconciler.api.validation.frameworks import (
    flux_rules,
    mpi_rules,
    torch_rules,
    volcano_rules,
    xgboost_rules,
)
from reconciler.api.validation.jobset import pod_rules, volume_claim_rules

_Check = Callable[[TrainJob, Runtime], Iterator[tuple[str, str]]]
#: By the field of ``mlPolicy``; jax and plain ML have no rules.
_FRAMEWORKS: Final[Mapping[str, _Check]] = {
    "flux": flux_rules.check,
    "mpi": mpi_rules.check,
    "torch": torch_rules.check,
    "xgboost": xgboost_rules.check,
}


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault that the job has with this runtime."""
    yield from initializer_rules.check(job, runtime)
    yield from runtime_patch_rules.check(job, runtime)
    yield from volume_claim_rules.check(job, runtime)
    yield from volcano_rules.check(job, runtime)
    policy = runtime.spec.ml_policy
    for framework in policy.frameworks if policy else ():
        if framework in _FRAMEWORKS:
            yield from _FRAMEWORKS[framework](job, runtime)


def check_alone(job: TrainJob) -> Iterator[tuple[str, str]]:
    """Path and message of each fault that the job has with any runtime."""
    trainer, initializer = job.spec.trainer, job.spec.initializer
    if trainer is not None:
        yield from pod_rules.environment(trainer.env, "spec.trainer.env")
        yield from pod_rules.resources(trainer.resources_per_node, "spec.trainer.resourcesPerNode")
    if initializer is not None and initializer.dataset is not None:
        yield from pod_rules.environment(initializer.dataset.env, "spec.initializer.dataset.env")
    if initializer is not None and initializer.model is not None:
        yield from pod_rules.environment(initializer.model.env, "spec.initializer.model.env")
