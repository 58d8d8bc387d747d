"""Rules for torch jobs: reserved variables, and further containers that get the ``PET_*`` environment."""

from __future__ import annotations

from reconciler.api.faults import Findings
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation.frameworks import reserved_env, torchtune_rules


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields the faults of a job with a torch runtime."""
    yield from _check_env_injection(runtime)
    yield from reserved_env.check(job.spec.trainer, "torch")
    if job.spec.trainer and torchtune_rules.is_torchtune(job.spec.trainer.command):
        yield from torchtune_rules.check(job, runtime)


def _check_env_injection(runtime: Runtime) -> Findings:
    policy = runtime.spec.ml_policy
    injection = policy.torch.env_injection if policy and policy.torch else None
    for target in injection.targets if injection else ():
        job = runtime.spec.jobset.find_replicated_job(target.job_name)
        if job is None:
            yield (
                "spec.runtimeRef",
                (
                    f"Invalid value: the runtime's envInjection names the replicated job "
                    f"{target.job_name!r}, which it does not have; fix envInjection.targets[].jobName"
                ),
            )
            continue
        present = {container.name for container in job.containers}
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
