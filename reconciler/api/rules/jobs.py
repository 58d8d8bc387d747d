"""Admission of a TrainJob against the runtime it refers to: every rule of every subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from reconciler.api.rules import claims, flux, initializers, mpi, patches, pods, torch, volcano, xgboost
from reconciler.api.runtimes import Runtime
from reconciler.api.trainjobs import TrainJob

_Check = Callable[[TrainJob, Runtime], Iterator[tuple[str, str]]]
#: By the field of ``mlPolicy``; jax and plain ML have no rules.
_FRAMEWORKS: Final[Mapping[str, _Check]] = {
    "flux": flux.check,
    "mpi": mpi.check,
    "torch": torch.check,
    "xgboost": xgboost.check,
}


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault that the job has with this runtime."""
    yield from initializers.check(job, runtime)
    yield from patches.check(job, runtime)
    yield from claims.check(job, runtime)
    yield from volcano.check(job, runtime)
    policy = runtime.spec.ml_policy
    for framework in policy.frameworks if policy else ():
        if framework in _FRAMEWORKS:
            yield from _FRAMEWORKS[framework](job, runtime)


def check_alone(job: TrainJob) -> Iterator[tuple[str, str]]:
    """Path and message of each fault that the job has with any runtime."""
    trainer, initializer = job.spec.trainer, job.spec.initializer
    if trainer is not None:
        yield from pods.environment(trainer.env, "spec.trainer.env")
        yield from pods.resources(trainer.resources_per_node, "spec.trainer.resourcesPerNode")
    if initializer is not None and initializer.dataset is not None:
        yield from pods.environment(initializer.dataset.env, "spec.initializer.dataset.env")
    if initializer is not None and initializer.model is not None:
        yield from pods.environment(initializer.model.env, "spec.initializer.model.env")
