"""From a TrainJob and its runtime to a plan, in upstream's order.

1. runtime patches, laid over the runtime's template;
2. the framework: counts of nodes, environment, ports, volumes;
3. the job's own trainer and initializer sections;
4. what this project adds (``MASTER_ADDR`` and its kin), then what JobSet and Job would add;
5. decoded data becomes plan types.

Pure: the same job and runtime give the same plan.
"""

from __future__ import annotations

import copy
from typing import Any

from reconciler import names
from reconciler.api import ClusterTrainingRuntime, TrainingRuntime, TrainJob, warn_meaningless
from reconciler.errors import PlanError
from reconciler.plan.draft import DATASET_INITIALIZER, MODEL_INITIALIZER, TRAINER, JobDraft, Raw, StepDraft
from reconciler.plan.expansion import reference
from reconciler.plan.frameworks import framework_of
from reconciler.plan.job_plan import HostEntry, JobPlan, PodPlan, StepPlan
from reconciler.plan.job_policies import (
    BACKOFF_LIMIT,
    dependencies,
    exit_rules,
    failure_rules,
    restart_policy,
    success,
    warn_job,
    warn_job_set,
)
from reconciler.plan.pod.partial_support import warn_pod
from reconciler.plan.pod.pod_template import add_index, host_names, plan_pod
from reconciler.plan.pod.pod_volumes import add_claimed_volumes
from reconciler.plan.progress_reporting import add_reporting, own_token_path
from reconciler.plan.strategic_merge import patched_template
from reconciler.plan.trainer_overrides import add_rendezvous, lay_initializers, lay_trainer
from reconciler.plan.warnings import Notices

#: Planning these takes seconds; a network has addresses for no more.
MOST_PODS = 4096
_ROLES = (TRAINER, DATASET_INITIALIZER, MODEL_INITIALIZER)


def build(job: TrainJob, runtime: ClusterTrainingRuntime | TrainingRuntime, *, uid: str = "") -> JobPlan:
    """The plan of ``job`` on ``runtime``.

    Args:
        job: an admitted TrainJob.
        runtime: the one it names.
        uid: of the TrainJob, for the downward API.

    Raises:
        PlanError: each is valid, but together they make no plan.
    """
    draft = _draft(job, runtime, uid)
    _refuse_crowd(draft)
    framework = framework_of(draft.policy, draft.trainer.get("command"))
    framework.apply(draft)
    add_reporting(draft)
    lay_trainer(draft)
    lay_initializers(draft)
    add_rendezvous(draft)
    add_index(draft)
    add_claimed_volumes(draft)
    plan = _plan(draft, framework.name, job.as_manifest())
    _refuse_shared_names(plan.pods)
    return plan


def _refuse_crowd(draft: JobDraft) -> None:
    """A number that no machine has room for is refused before anything is counted up to it."""
    nodes = int(draft.trainer.get("numNodes") or 0)
    pods = sum(max(step.pods, nodes if step.role == TRAINER else 0) * step.replicas for step in draft.steps)
    if max(pods, nodes) > MOST_PODS:
        raise PlanError(
            f"The job has {max(pods, nodes):,} pods; one machine is given {MOST_PODS:,} at most.",
            path="spec.trainer.numNodes" if nodes > MOST_PODS else "spec.runtimeRef",
            remedy="Ask for fewer nodes.",
        )


def _draft(job: TrainJob, runtime: ClusterTrainingRuntime | TrainingRuntime, uid: str) -> JobDraft:
    """The working copy: the runtime's template with the job's patches in it."""
    manifest, blueprint = job.as_manifest(), copy.deepcopy(runtime.as_manifest())
    spec = manifest["spec"]
    blueprint_spec = blueprint.get("spec") or {}
    template = patched_template(blueprint_spec.get("template") or {}, spec.get("runtimePatches") or ())
    jobs = (template.get("spec") or {}).get("replicatedJobs") or []
    if not jobs:
        raise PlanError(
            f"The runtime {spec['runtimeRef']['name']!r} has no replicated jobs, so there is nothing to run.",
            path="spec.runtimeRef",
            remedy="Give it at least one under spec.template.spec.replicatedJobs.",
        )
    policy = blueprint_spec.get("mlPolicy") or {}
    return JobDraft(
        namespace=manifest["metadata"].get("namespace") or names.DEFAULT_NAMESPACE,
        name=manifest["metadata"]["name"],
        uid=uid,
        runtime=spec["runtimeRef"]["name"],
        blueprint=blueprint_spec,
        policy=policy,
        trainer=dict(spec.get("trainer") or {}),
        initializer=spec.get("initializer") or {},
        template=template,
        steps=[
            _step(raw, place, policy if "mlPolicy" in blueprint_spec else None)
            for place, raw in enumerate(jobs)
        ],
    )


def _step(raw: Raw, place: int, policy: Raw | None) -> StepDraft:
    """A replicated job; its pods are its parallelism, a trainer's the policy's nodes."""
    template = raw.setdefault("template", {})
    spec = template.setdefault("spec", {})
    spec.setdefault("template", {}).setdefault("spec", {})
    role = ((template.get("metadata") or {}).get("labels") or {}).get(names.LABEL_ANCESTOR) or ""
    pods = spec.get("parallelism")
    if role == TRAINER and policy is not None:
        pods = policy.get("numNodes")
    replicas = raw.get("replicas")
    return StepDraft(
        name=raw["name"],
        place=place,
        role=role,
        raw=raw,
        pods=max(1 if pods is None else int(pods), 1),
        replicas=1 if role in _ROLES or replicas is None else int(replicas),
    )


def _plan(draft: JobDraft, framework: str, manifest: Raw) -> JobPlan:
    spec: dict[str, Any] = draft.template.get("spec") or {}
    metadata = draft.template.get("metadata") or {}
    notices = Notices("")
    for path, message in (
        *draft.warnings,
        *warn_meaningless({**draft.blueprint, "template": draft.template}, "spec"),
    ):
        if path != own_token_path(draft):
            notices.say(path, message)
    warn_job_set(spec, notices.at("spec.template.spec"))
    failure = spec.get("failurePolicy")
    pod = next((s.pod for s in draft.steps if s.ranked), {})
    operator, targets = success(spec)
    ttl, deadline = spec.get("ttlSecondsAfterFinished"), manifest["spec"].get("activeDeadlineSeconds")
    return JobPlan(
        namespace=draft.namespace,
        name=draft.name,
        nodes=draft.nodes,
        network=names.network_name(draft.namespace, draft.name),
        steps=tuple(_plan_step(draft, step, notices) for step in draft.steps),
        labels=dict(metadata.get("labels") or {}),
        annotations={**(metadata.get("annotations") or {}), **_own_annotations(manifest)},
        framework=framework,
        port=names.MASTER_PORT,
        suspend=bool(manifest["spec"].get("suspend")),
        max_restarts=None if failure is None else int(failure.get("maxRestarts") or 0),
        failure_rules=failure_rules(failure or {}),
        success_operator=operator,
        success_targets=targets,
        startup_in_order=(spec.get("startupPolicy") or {}).get("startupPolicyOrder") == "InOrder",
        active_deadline=None if deadline is None else float(deadline),
        ttl=None if ttl is None else float(ttl),
        hosts=_hosts(draft),
        priority_class=str(pod.get("priorityClassName") or ""),
        priority=pod.get("priority"),
        warnings=notices.all,
    )


def _own_annotations(manifest: Raw) -> dict[str, str]:
    """The TrainJob's annotations that this project reads; the others are the user's business."""
    annotations = manifest["metadata"].get("annotations") or {}
    return {key: value for key, value in annotations.items() if key.startswith(names.PREFIX)}


def _plan_step(draft: JobDraft, step: StepDraft, notices: Notices) -> StepPlan:
    at = notices.at(f"{step.path}")
    job = at.at("template.spec")
    warn_job(step, job)
    warn_pod(step, job.at("template.spec"))
    limit, deadline = step.job_spec.get("backoffLimit"), step.job_spec.get("activeDeadlineSeconds")
    return StepPlan(
        name=step.name,
        role=step.role,
        after=dependencies(step),
        pods=tuple(plan_pod(draft, step, index, at) for index in range(step.count)),
        backoff_limit=BACKOFF_LIMIT if limit is None else int(limit),
        restart_policy=restart_policy(step),
        active_deadline=None if deadline is None else float(deadline),
        exit_rules=exit_rules(step, job),
    )


def _hosts(draft: JobDraft) -> tuple[HostEntry, ...]:
    """An entry for every pod; ranks first."""
    steps = sorted(draft.steps, key=lambda step: not step.ranked)
    return tuple(
        HostEntry(address=reference(step.name, index), names=host_names(draft, step, index))
        for step in steps
        for index in range(step.count)
    )


def _refuse_shared_names(pods: tuple[PodPlan, ...]) -> None:
    """Refuse a job of which two containers would have the same name on the engine."""
    seen: dict[str, str] = {}
    for pod in pods:
        for container in pod.containers:
            place = f"{pod.step}[{pod.index}].{container.container}"
            other = seen.setdefault(container.name, place)
            if other != place:
                raise PlanError(
                    f"{other} and {place} would both be the container {container.name!r} on the engine.",
                    path="spec.runtimeRef",
                    remedy="Rename the replicated job or the container in the runtime.",
                )
