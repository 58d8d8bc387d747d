"""Builds the plan of a TrainJob on its runtime, in upstream's order.

1. runtime patches are applied to the runtime's template;
2. the framework sets counts of nodes, environment, ports and volumes;
3. the job's own trainer and initializer sections are applied;
4. the environment of this project (``MASTER_ADDR`` and others) and of JobSet and Job is added;
5. decoded data becomes plan types.

Pure: the same job and runtime give the same plan.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

from reconciler import names
from reconciler.api import (
    ClusterTrainingRuntime,
    TrainingRuntime,
    TrainJob,
    find_older_fields,
    find_unsupported_fields,
)
from reconciler.api.field_paths import pod_spec_path, replicated_job_path
from reconciler.api.step_names import DATASET_INITIALIZER, MODEL_INITIALIZER, TRAINER, infer_trainer
from reconciler.errors import PlanError
from reconciler.plan import job_policies
from reconciler.plan.draft import JobDraft, Raw, StepDraft
from reconciler.plan.expansion import address_reference
from reconciler.plan.field_warnings import FieldWarnings
from reconciler.plan.frameworks.registry import select_framework
from reconciler.plan.job_plan import HostEntry, JobPlan, PodPlan, StepPlan
from reconciler.plan.pod.partial_support import warn_pod
from reconciler.plan.pod.pod_template import host_names, plan_pod
from reconciler.plan.pod.pod_volumes import add_claimed_volumes
from reconciler.plan.pod.rendezvous_env import add_completion_index, add_rendezvous
from reconciler.plan.progress_reporting import add_progress_reporting, token_field_path
from reconciler.plan.strategic_merge import apply_patches
from reconciler.plan.trainer_overrides import apply_initializers, apply_trainer
from reconciler.plan.unreached_overrides import (
    describe_inferred_trainer,
    find_misread_annotations,
    find_unreached,
)

#: Planning as many takes seconds; a network has no addresses for more.
MAX_PODS: Final = 4096
#: The default of batch/v1.
_DEFAULT_BACKOFF_LIMIT: Final = 6
#: The default of JobSet; a pod's own default is Always.
_DEFAULT_RESTART_POLICY: Final = "OnFailure"
_ROLES: Final = (TRAINER, DATASET_INITIALIZER, MODEL_INITIALIZER)


def build(job: TrainJob, runtime: ClusterTrainingRuntime | TrainingRuntime, *, uid: str = "") -> JobPlan:
    """Builds the plan of ``job`` on ``runtime``.

    Args:
        job: a TrainJob that passed admission.
        runtime: the runtime it names.
        uid: of the TrainJob, for the downward API.

    Raises:
        PlanError: each is valid, but together they make no plan.
    """
    manifest = job.as_manifest()
    draft = _build_draft(manifest, runtime, uid)
    _check_pod_count(draft)
    framework, apply_framework = select_framework(draft.ml_policy, draft.trainer.get("command"))
    apply_framework(draft)
    draft.warnings += find_unreached(draft, manifest, framework)
    add_progress_reporting(draft)
    apply_trainer(draft)
    apply_initializers(draft)
    add_rendezvous(draft)
    add_completion_index(draft)
    add_claimed_volumes(draft)
    plan = _plan_job(draft, framework, manifest)
    _check_container_names(plan.pods)
    return plan


def _build_draft(manifest: Raw, runtime: ClusterTrainingRuntime | TrainingRuntime, uid: str) -> JobDraft:
    """Returns the working copy: the runtime's template with the job's patches in it."""
    spec = manifest["spec"]
    runtime_spec: Raw = copy.deepcopy(runtime.as_manifest()).get("spec") or {}
    template = apply_patches(runtime_spec.get("template") or {}, spec.get("runtimePatches") or ())
    replicated_jobs = (template.get("spec") or {}).get("replicatedJobs") or []
    if not replicated_jobs:
        raise PlanError(
            f"The runtime {spec['runtimeRef']['name']!r} has no replicated jobs, so there is nothing to run.",
            path="spec.runtimeRef",
            remedy="Give it at least one under spec.template.spec.replicatedJobs.",
        )
    policy = runtime_spec.get("mlPolicy") or {}
    inferred = infer_trainer(
        {raw["name"]: _ancestor(raw) for raw in replicated_jobs}, launched=policy.get("mpi") is not None
    )
    return JobDraft(
        namespace=manifest["metadata"].get("namespace") or names.DEFAULT_NAMESPACE,
        name=manifest["metadata"]["name"],
        uid=uid,
        runtime=spec["runtimeRef"]["name"],
        runtime_spec=runtime_spec,
        ml_policy=policy,
        trainer=dict(spec.get("trainer") or {}),
        initializer=spec.get("initializer") or {},
        template=template,
        inferred_trainer=inferred,
        steps=[
            _build_step(raw, position, policy if "mlPolicy" in runtime_spec else None, inferred)
            for position, raw in enumerate(replicated_jobs)
        ],
    )


def _ancestor(raw: Raw) -> str:
    metadata = (raw.get("template") or {}).get("metadata") or {}
    return (metadata.get("labels") or {}).get(names.LABEL_ANCESTOR) or ""


def _build_step(raw: Raw, position: int, policy: Raw | None, inferred_trainer: str) -> StepDraft:
    """Reads a replicated job; it has ``parallelism`` pods, the trainer ``numNodes`` of a policy.

    An inferred trainer has them only where the policy says how many: its own number is what older runtimes
    went by.
    """
    template = raw.setdefault("template", {})
    spec = template.setdefault("spec", {})
    spec.setdefault("template", {}).setdefault("spec", {})
    inferred = raw["name"] == inferred_trainer
    role = TRAINER if inferred else _ancestor(raw)
    pods = spec.get("parallelism")
    if role == TRAINER and policy is not None and (policy.get("numNodes") or not inferred):
        pods = policy.get("numNodes")
    replicas = None if role in _ROLES and not inferred else raw.get("replicas")
    return StepDraft(
        name=raw["name"],
        position=position,
        role=role,
        raw=raw,
        pods=max(1 if pods is None else int(pods), 1),
        replicas=1 if replicas is None else int(replicas),
    )


def _check_pod_count(draft: JobDraft) -> None:
    """Rejects a number of pods that no machine has room for, before anything is counted up to it."""
    nodes = int(draft.trainer.get("numNodes") or 0)
    pods = sum(max(step.pods, nodes if step.role == TRAINER else 0) * step.replicas for step in draft.steps)
    if max(pods, nodes) > MAX_PODS:
        raise PlanError(
            f"The job has {max(pods, nodes):,} pods; one machine is given {MAX_PODS:,} at most.",
            path="spec.trainer.numNodes" if nodes > MAX_PODS else "spec.runtimeRef",
            remedy="Ask for fewer nodes.",
        )


def _plan_job(draft: JobDraft, framework: str, manifest: Raw) -> JobPlan:
    spec, metadata = draft.jobset_spec, draft.template.get("metadata") or {}
    warnings = _job_warnings(draft, manifest)
    failure = spec.get("failurePolicy")
    pod = draft.ranked_step.pod if draft.ranked_step is not None else {}
    operator, targets = job_policies.plan_success_policy(spec)
    return JobPlan(
        namespace=draft.namespace,
        name=draft.name,
        nodes=draft.nodes,
        network=names.network_name(draft.namespace, draft.name),
        steps=tuple(_plan_step(draft, step, warnings) for step in draft.steps),
        labels=dict(metadata.get("labels") or {}),
        annotations={**(metadata.get("annotations") or {}), **_project_annotations(manifest)},
        framework=framework,
        port=names.MASTER_PORT,
        suspend=bool(manifest["spec"].get("suspend")),
        max_restarts=None if failure is None else int(failure.get("maxRestarts") or 0),
        failure_rules=job_policies.plan_failure_rules(failure or {}),
        success_operator=operator,
        success_targets=targets,
        startup_in_order=(spec.get("startupPolicy") or {}).get("startupPolicyOrder") == "InOrder",
        active_deadline=_seconds(manifest["spec"].get("activeDeadlineSeconds")),
        ttl=_seconds(spec.get("ttlSecondsAfterFinished")),
        hosts=_host_entries(draft),
        priority_class=str(pod.get("priorityClassName") or ""),
        priority=pod.get("priority"),
        warnings=warnings.all,
        cluster_differences=tuple(_cluster_differences(draft)),
    )


def _cluster_differences(draft: JobDraft) -> Iterator[tuple[str, str]]:
    """Yields what the job's manifests mean here, and would not mean on a cluster."""
    if draft.inferred_trainer and (draft.trainer or draft.ml_policy):
        yield (
            "spec.trainer" if draft.trainer else "spec.runtimeRef",
            describe_inferred_trainer(draft.inferred_trainer, runtime=draft.runtime),
        )
    for path, message in find_older_fields(draft.runtime_spec):
        yield path, f"of the runtime {draft.runtime!r}: {message}"


def _job_warnings(draft: JobDraft, manifest: Raw) -> FieldWarnings:
    """Returns the warnings of the framework, about unsupported fields, and about the JobSet's spec."""
    warnings = FieldWarnings()
    unsupported = find_unsupported_fields({**draft.runtime_spec, "template": draft.template})
    annotations = find_misread_annotations(_project_annotations(manifest))
    token = token_field_path(draft)
    for path, message in (*draft.warnings, *annotations, *unsupported):
        if path != token:
            warnings.add(path, message)
    job_policies.warn_job_set(draft.jobset_spec, warnings.child("spec.template.spec"))
    return warnings


def _project_annotations(manifest: Raw) -> dict[str, str]:
    """Returns the annotations of the TrainJob that this project reads; it ignores all others."""
    annotations = manifest["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key.startswith(names.KEY_PREFIX)}


def _plan_step(draft: JobDraft, step: StepDraft, warnings: FieldWarnings) -> StepPlan:
    job_warnings = warnings.child(f"{replicated_job_path(step.position)}.template.spec")
    pod_warnings = warnings.child(pod_spec_path(step.position))
    job_policies.warn_job(step, job_warnings)
    warn_pod(step, pod_warnings)
    limit = step.job_spec.get("backoffLimit")
    return StepPlan(
        name=step.name,
        role=step.role,
        after=job_policies.plan_dependencies(step),
        pods=tuple(plan_pod(draft, step, index, pod_warnings) for index in range(step.count)),
        backoff_limit=_DEFAULT_BACKOFF_LIMIT if limit is None else int(limit),
        restart_policy=step.pod.get("restartPolicy") or _DEFAULT_RESTART_POLICY,
        active_deadline=_seconds(step.job_spec.get("activeDeadlineSeconds")),
        exit_rules=job_policies.plan_exit_rules(step, job_warnings),
    )


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)


def _host_entries(draft: JobDraft) -> tuple[HostEntry, ...]:
    """Returns a line of ``/etc/hosts`` for every pod; training nodes first."""
    steps = sorted(draft.steps, key=lambda step: not step.ranked)
    return tuple(
        HostEntry(address=address_reference(step.name, index), names=host_names(draft, step, index))
        for step in steps
        for index in range(step.count)
    )


def _check_container_names(pods: tuple[PodPlan, ...]) -> None:
    """Rejects a job of which two containers would have the same name on the engine."""
    seen: dict[str, str] = {}
    for pod in pods:
        for container in pod.containers:
            place = f"{pod.step}[{pod.index}].{container.container}"
            other = seen.get(container.name)
            seen[container.name] = place
            if other == place:
                raise PlanError(
                    f"The step {pod.step!r} has two containers named {container.container!r}.",
                    path="spec.runtimePatches",
                    remedy="A patch of an init container of the runtime stands under initContainers.",
                )
            if other is not None:
                raise PlanError(
                    f"{other} and {place} would both be the container {container.name!r} on the engine.",
                    path="spec.runtimeRef",
                    remedy="Rename the replicated job or the container in the runtime.",
                )
