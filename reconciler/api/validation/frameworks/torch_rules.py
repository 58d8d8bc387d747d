"""Admission of torch jobs: reserved names, and the containers that get ``PET_*`` besides ``node``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciler.api import runtime_lookup
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation.frameworks import torchtune_rules
from reconciler.api.validation.frameworks.reserved_env import reserved_env

RESERVED: Final = frozenset(
    {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}
)


def check(job: TrainJob, runtime: Runtime) -> Iterator[tuple[str, str]]:
    """Path and message of each fault of a job that uses a torch runtime."""
    yield from _injection(runtime)
    trainer = job.spec.trainer
    if trainer is None:
        return
    yield from reserved_env(trainer, RESERVED, "torchrun")
    if torchtune_rules.is_torchtune(trainer.command):
        yield from torchtune_rules.check(job, runtime)


def _injection(runtime: Runtime) -> Iterator[tuple[str, str]]:
    policy = runtime.spec.ml_policy
    injection = policy.torch.env_injection if policy and policy.torch else None
    for target in injection.targets if injection else ():
        job = runtime_lookup.find_job(runtime, target.job_name)
        if job is None:
            yield (
                "spec.runtimeRef",
                (
                    f"Invalid value: the runtime's envInjection names the replicated job "
                    f"{target.job_name!r}, which it does not have; mend envInjection.targets[].jobName"
                ),
            )
            continue
        present = runtime_lookup.container_names(job)
        for name in target.container_names:
            if name not in present:
                yield (
                    "spec.runtimeRef",
                    (
                        f"Invalid value: the runtime's envInjection names the container {name!r}, "
                        f"which its replicated job {target.job_name!r} does not have; "
                        f"it has: {', '.join(sorted(present))}"
                    ),
                )
