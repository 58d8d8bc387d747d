"""Pods of a step: pods with their names, labels, volumes and containers.

Labels and annotations are those that JobSet and the Job controller would set (both projects' API
constants), because manifests read them through the downward API; what names objects that exist only on
a cluster (uids of Jobs, the restart attempt) is left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler import names
from reconciler.plan.draft import NODE, JobDraft, Raw, StepDraft, set_index
from reconciler.plan.expansion import reference
from reconciler.plan.job_plan import ContainerKind, ContainerPlan, HostEntry, PodPlan
from reconciler.plan.pod.downward_api import PodView
from reconciler.plan.pod.pod_containers import plan_container
from reconciler.plan.pod.pod_volumes import plan_volumes
from reconciler.plan.warnings import Notices

_JOBSET: Final = "jobset.sigs.k8s.io/"
_JOB: Final = "batch.kubernetes.io/"
_GRACE: Final = 30
#: The group of replicated jobs that name none.
_GROUP: Final = "default"
INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"


def plan_pod(draft: JobDraft, step: StepDraft, index: int, notices: Notices) -> PodPlan:
    """Instance ``index`` of ``step``.

    Raises:
        PlanError: a container mounts what the pod does not have, or a probe names an unknown port.
    """
    spec = step.pod
    name = instance_name(draft, step, index)
    labels, annotations = _metadata(draft, step, index)
    group = _group(draft, step, index)
    pod = PodView(
        name=name,
        namespace=draft.namespace,
        uid=draft.uid,
        address=reference(step.name, index),
        service_account=spec.get("serviceAccountName") or spec.get("serviceAccount") or "default",
        labels={**labels, **group},
        annotations={**annotations, **group},
        resources={c["name"]: c.get("resources") or {} for c in step.every_container()},
    )
    at = notices.at("template.spec.template.spec")
    dns = spec.get("dnsConfig") or {}
    grace = spec.get("terminationGracePeriodSeconds")
    return PodPlan(
        step=step.name,
        index=index,
        rank=index if step.ranked else None,
        name=name,
        hostname=names.host_name(name),
        aliases=tuple(_aliases(draft, step, index)),
        containers=tuple(_containers(step, name, pod, at)),
        volumes=plan_volumes(draft, step, pod, at),
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
        termination_grace=float(_GRACE if grace is None else grace),
        pull_secrets=tuple(s["name"] for s in spec.get("imagePullSecrets") or () if s.get("name")),
    )


def add_index(draft: JobDraft) -> None:
    """Give every container ``JOB_COMPLETION_INDEX``, as the controller of an Indexed Job does."""
    for step in draft.steps:
        for container in step.every_container():
            if all(variable["name"] != INDEX_VARIABLE for variable in container.get("env") or ()):
                set_index(container, INDEX_VARIABLE)


def instance_name(draft: JobDraft, step: StepDraft, index: int) -> str:
    """``<job>-node-<rank>`` for training nodes, whatever their step is called; else by step.

    A ranked step of another name keeps its own where yet another step is called ``node``.
    """
    named = NODE if step.ranked and draft.step(NODE) in (None, step) else step.name
    return names.instance_name(draft.namespace, draft.name, named, index, step.count)


def host_names(draft: JobDraft, step: StepDraft, index: int) -> tuple[str, ...]:
    """Every name by which the job's containers may call a pod; the container's own first."""
    name = instance_name(draft, step, index)
    return tuple(dict.fromkeys((name, names.host_name(name), *_aliases(draft, step, index))))


def _aliases(draft: JobDraft, step: StepDraft, index: int) -> Iterator[str]:
    """The pod's names on a cluster: ``<job>-<step>-0-<index>`` and the same in its (sub)domain."""
    replica, pod = divmod(index, step.pods)
    cluster = f"{draft.name}-{step.name}-{replica}-{pod}"
    yield cluster
    yield f"{cluster}.{draft.subdomain}"
    yield f"{cluster}.{draft.subdomain}.{draft.namespace}.svc.cluster.local"
    if step.pod.get("hostname") and step.count == 1:
        yield step.pod["hostname"]


def _metadata(draft: JobDraft, step: StepDraft, index: int) -> tuple[dict[str, str], dict[str, str]]:
    """Labels and annotations of the pod."""
    own: Mapping[str, Any] = step.pod_template.get("metadata") or {}
    replica, pod = divmod(index, step.pods)
    job = f"{draft.name}-{step.name}-{replica}"
    before = sum(s.replicas for s in draft.steps[: step.place])
    key = hashlib.sha1(f"{draft.namespace}/{job}".encode(), usedforsecurity=False).hexdigest()
    shared = {
        f"{_JOBSET}jobset-name": draft.name,
        f"{_JOBSET}replicatedjob-name": step.name,
        f"{_JOBSET}replicatedjob-replicas": str(step.replicas),
        f"{_JOBSET}global-replicas": str(sum(s.replicas for s in draft.steps)),
        f"{_JOBSET}job-index": str(replica),
        f"{_JOBSET}job-global-index": str(before + replica),
        f"{_JOBSET}job-key": key,
        **(_group(draft, step, index) if step.raw.get("groupName") else {}),
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


def _group(draft: JobDraft, step: StepDraft, index: int) -> dict[str, str]:
    """Which group of replicated jobs the pod's Job is in, how many Jobs that has and which of them it is.

    Labels are made of it only where the runtime names a group: those of the default one would change
    every plan, and so make containers of an older version stale. A pod may learn of either.
    """
    mates = [s for s in draft.steps if _group_name(s) == _group_name(step)]
    replica = index // step.pods
    return {
        f"{_JOBSET}group-name": _group_name(step),
        f"{_JOBSET}group-replicas": str(sum(s.replicas for s in mates)),
        f"{_JOBSET}job-group-index": str(sum(s.replicas for s in mates if s.place < step.place) + replica),
    }


def _group_name(step: StepDraft) -> str:
    return step.raw.get("groupName") or _GROUP


def _coordinator(draft: JobDraft) -> str:
    """Name of the pod that JobSet's ``coordinator`` names."""
    wanted = (draft.template.get("spec") or {}).get("coordinator")
    if not wanted:
        return ""
    job, pod = wanted.get("jobIndex") or 0, wanted.get("podIndex") or 0
    return f"{draft.name}-{wanted['replicatedJob']}-{job}-{pod}.{draft.subdomain}"


def _containers(step: StepDraft, name: str, pod: PodView, notices: Notices) -> Iterator[ContainerPlan]:
    """Init containers and native sidecars in their order, then the others."""
    primary = _primary(step)
    for field, group in (("initContainers", step.init_containers), ("containers", step.containers)):
        for place, container in enumerate(group):
            leads = container is primary
            yield plan_container(
                container,
                kind=_kind(container, field),
                name=name if leads else f"{name}-{container['name']}",
                primary=leads,
                pod_spec=step.pod,
                pod=pod,
                notices=notices.at(f"{field}[{place}]"),
            )


def _kind(container: Raw, field: str) -> ContainerKind:
    if field == "containers":
        return "main"
    return "sidecar" if container.get("restartPolicy") == "Always" else "init"


def _primary(step: StepDraft) -> Raw | None:
    """The container that has the pod's name: ``node``, or the one called like the step, or the first."""
    for wanted in (NODE, step.role, step.name):
        container = step.container(wanted)
        if container is not None:
            return container
    return step.containers[0] if step.containers else None


def _dns_option(option: Mapping[str, Any]) -> str:
    value = option.get("value")
    return f"{option['name']}:{value}" if value is not None else str(option["name"])
