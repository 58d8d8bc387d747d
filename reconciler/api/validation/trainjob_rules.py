"""Rules for a TrainJob: by itself, and together with the runtime that it refers to."""

from __future__ import annotations

from reconciler.api.faults import Findings
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob
from reconciler.api.validation import initializer_rules, runtime_patch_rules
from reconciler.api.validation.frameworks import framework_rules, volcano_rules
from reconciler.api.validation.jobset import pod_rules, volume_claim_rules


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields the faults that the job has with this runtime."""
    yield from initializer_rules.check(job, runtime)
    yield from runtime_patch_rules.check(job, runtime)
    yield from volume_claim_rules.check(job, runtime)
    yield from volcano_rules.check(job, runtime)
    yield from framework_rules.check(job, runtime)


def check_own_fields(job: TrainJob) -> Findings:
    """Yields the faults that the job has with any runtime: environment and resources."""
    yield from _check_patched_env(job)
    trainer, initializer = job.spec.trainer, job.spec.initializer
    if trainer is not None:
        yield from pod_rules.check_env(trainer.env, "spec.trainer.env")
        yield from pod_rules.check_resources(trainer.resources_per_node, "spec.trainer.resourcesPerNode")
    if initializer is not None and initializer.dataset is not None:
        yield from pod_rules.check_env(initializer.dataset.env, "spec.initializer.dataset.env")
    if initializer is not None and initializer.model is not None:
        yield from pod_rules.check_env(initializer.model.env, "spec.initializer.model.env")


def _check_patched_env(job: TrainJob) -> Findings:
    """Yields the faults of the environment that patches give to containers."""
    for index, patch in enumerate(job.spec.runtime_patches):
        for position, patched in enumerate(patch.replicated_jobs):
            pod = patched.pod_spec
            base = (
                f"spec.runtimePatches[{index}].trainingRuntimeSpec.template.spec.replicatedJobs[{position}]"
            )
            base += ".template.spec.template.spec"
            for field, containers in (
                ("initContainers", pod.init_containers if pod else ()),
                ("containers", pod.containers if pod else ()),
            ):
                for number, container in enumerate(containers):
                    yield from pod_rules.check_env(container.env, f"{base}.{field}[{number}].env")
