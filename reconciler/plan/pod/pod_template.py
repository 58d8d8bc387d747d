"""Pods of a step: names, labels and annotations, and the template's fields in plan types.

Labels and annotations are those that JobSet and the Job controller would set (both projects' API
constants), because manifests read them through the downward API. Those about objects that exist only on
a cluster (uids of Jobs, the restart attempt) are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler import names
from reconciler.api.step_names import NODE
from reconciler.plan.draft import JobDraft, Raw, StepDraft
from reconciler.plan.expansion import address_reference
from reconciler.plan.field_warnings import FieldWarnings
from reconciler.plan.job_plan import ContainerKind, ContainerPlan, HostEntry, PodPlan
from reconciler.plan.pod.downward_api import PodFields
from reconciler.plan.pod.pod_containers import plan_container
from reconciler.plan.pod.pod_volumes import plan_volumes

_JOBSET: Final = "jobset.sigs.k8s.io/"
_JOB: Final = "batch.kubernetes.io/"
#: The defaults of Kubernetes and JobSet.
_DEFAULT_GRACE: Final = 30
_DEFAULT_GROUP: Final = "default"


def plan_pod(draft: JobDraft, step: StepDraft, index: int, warnings: FieldWarnings) -> PodPlan:
    """Plans pod ``index`` of ``step``; ``warnings`` is at the pod's spec.

    Raises:
        PlanError: a container or a volume is invalid.
    """
    spec = step.pod
    name = _pod_name(draft, step, index)
    labels, annotations = _metadata(draft, step, index)
    group = _group_labels(draft, step, index)
    fields = PodFields(
        name=name,
        namespace=draft.namespace,
        uid=draft.uid,
        address=address_reference(step.name, index),
        service_account=spec.get("serviceAccountName") or spec.get("serviceAccount") or "default",
        labels={**labels, **group},
        annotations={**annotations, **group},
        resources={c["name"]: c.get("resources") or {} for c in step.all_containers()},
    )
    dns = spec.get("dnsConfig") or {}
    grace = spec.get("terminationGracePeriodSeconds")
    return PodPlan(
        step=step.name,
        index=index,
        rank=index if step.ranked else None,
        name=name,
        hostname=names.host_name(name),
        aliases=tuple(_aliases(draft, step, index)),
        containers=tuple(_plan_containers(step, fields, warnings)),
        volumes=plan_volumes(draft, step, fields, warnings),
        labels=labels,
        annotations=annotations,
        host_aliases=tuple(
            HostEntry(address=alias["ip"], names=tuple(alias.get("hostnames") or ()))
            for alias in spec.get("hostAliases") or ()
        ),
        host_network=bool(spec.get("hostNetwork")),
        host_pid=bool(spec.get("hostPID")),
        host_ipc=bool(spec.get("hostIPC")),
        share_process_namespace=bool(spec.get("shareProcessNamespace")),
        dns_servers=tuple(dns.get("nameservers") or ()),
        dns_searches=tuple(dns.get("searches") or ()),
        dns_options=tuple(_dns_option(option) for option in dns.get("options") or ()),
        dns_policy=spec.get("dnsPolicy") or "",
        termination_grace=float(_DEFAULT_GRACE if grace is None else grace),
        pull_secrets=tuple(s["name"] for s in spec.get("imagePullSecrets") or () if s.get("name")),
    )


def _pod_name(draft: JobDraft, step: StepDraft, index: int) -> str:
    """Returns ``<job>-node-<rank>`` for training nodes of any step; else a name with the step's.

    A ranked step of another name keeps its own where yet another step is called ``node``.
    """
    step_name = NODE if step.ranked and draft.step(NODE) in (None, step) else step.name
    return names.pod_name(draft.namespace, draft.name, step_name, index, step.count)


def host_names(draft: JobDraft, step: StepDraft, index: int) -> tuple[str, ...]:
    """Returns every name by which the job's containers can reach a pod; its own name first."""
    name = _pod_name(draft, step, index)
    return tuple(dict.fromkeys((name, names.host_name(name), *_aliases(draft, step, index))))


def _aliases(draft: JobDraft, step: StepDraft, index: int) -> Iterator[str]:
    """Yields the pod's names on a cluster: ``<job>-<step>-0-<index>`` and the same in its (sub)domain."""
    replica, pod = divmod(index, step.pods)
    cluster = f"{draft.name}-{step.name}-{replica}-{pod}"
    yield cluster
    yield f"{cluster}.{draft.subdomain}"
    yield f"{cluster}.{draft.subdomain}.{draft.namespace}.svc.cluster.local"
    if step.pod.get("hostname") and step.count == 1:
        yield step.pod["hostname"]


def _metadata(draft: JobDraft, step: StepDraft, index: int) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the labels and annotations of the pod."""
    own: Mapping[str, Any] = step.pod_template.get("metadata") or {}
    replica, pod = divmod(index, step.pods)
    job = f"{draft.name}-{step.name}-{replica}"
    before = sum(s.replicas for s in draft.steps[: step.position])
    key = hashlib.sha1(f"{draft.namespace}/{job}".encode(), usedforsecurity=False).hexdigest()
    shared = {
        f"{_JOBSET}jobset-name": draft.name,
        f"{_JOBSET}replicatedjob-name": step.name,
        f"{_JOBSET}replicatedjob-replicas": str(step.replicas),
        f"{_JOBSET}global-replicas": str(sum(s.replicas for s in draft.steps)),
        f"{_JOBSET}job-index": str(replica),
        f"{_JOBSET}job-global-index": str(before + replica),
        f"{_JOBSET}job-key": key,
        **(_group_labels(draft, step, index) if step.raw.get("groupName") else {}),
        f"{_JOB}job-completion-index": str(pod),
    }
    coordinator = _coordinator(draft)
    if coordinator:
        shared[f"{_JOBSET}coordinator"] = coordinator
    job_names = {f"{_JOB}job-name": job, "job-name": job}
    return (
        {**(own.get("labels") or {}), **shared, **job_names},
        {**(own.get("annotations") or {}), **shared},
    )


def _group_labels(draft: JobDraft, step: StepDraft, index: int) -> dict[str, str]:
    """Returns the group of replicated jobs of the pod's Job, its number of Jobs, and the Job's index in it.

    The pod has these labels only where the runtime names a group: those of the default group would change
    every plan, and so make containers of an older version stale. The downward API has them in any case.
    """
    group = [s for s in draft.steps if _group_name(s) == _group_name(step)]
    before = sum(s.replicas for s in group if s.position < step.position)
    return {
        f"{_JOBSET}group-name": _group_name(step),
        f"{_JOBSET}group-replicas": str(sum(s.replicas for s in group)),
        f"{_JOBSET}job-group-index": str(before + index // step.pods),
    }


def _group_name(step: StepDraft) -> str:
    return step.raw.get("groupName") or _DEFAULT_GROUP


def _coordinator(draft: JobDraft) -> str:
    """Returns the host name of the pod that JobSet's ``coordinator`` names."""
    coordinator = draft.jobset_spec.get("coordinator")
    if not coordinator:
        return ""
    job, pod = coordinator.get("jobIndex") or 0, coordinator.get("podIndex") or 0
    return f"{draft.name}-{coordinator['replicatedJob']}-{job}-{pod}.{draft.subdomain}"


def _plan_containers(step: StepDraft, pod: PodFields, warnings: FieldWarnings) -> Iterator[ContainerPlan]:
    """Yields init containers and native sidecars in their order, then the others."""
    primary = _primary(step)
    for field, group in (("initContainers", step.init_containers), ("containers", step.containers)):
        for position, container in enumerate(group):
            yield plan_container(
                container,
                kind=_kind(container, field),
                name=pod.name if container is primary else f"{pod.name}-{container['name']}",
                primary=container is primary,
                pod_spec=step.pod,
                pod=pod,
                warnings=warnings.child(f"{field}[{position}]"),
            )


def _kind(container: Raw, field: str) -> ContainerKind:
    if field == "containers":
        return "main"
    return "sidecar" if container.get("restartPolicy") == "Always" else "init"


def _primary(step: StepDraft) -> Raw | None:
    """Returns the container that gets the pod's name: ``node``, else the step's own name, else the first."""
    for name in (NODE, step.role, step.name):
        container = step.container(name)
        if container is not None:
            return container
    return step.containers[0] if step.containers else None


def _dns_option(option: Mapping[str, Any]) -> str:
    value = option.get("value")
    return f"{option['name']}:{value}" if value is not None else str(option["name"])
