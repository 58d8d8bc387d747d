"""The JSON of ``plan -o json``: what would be created, without asking an engine. A public contract (DESIGN).

Addresses stay references (``$(node-0.ip)``), values of Secrets are ``****``, values of ConfigMaps are
shown where they can be looked up. Everything else is expanded as when it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from reconciler import names
from reconciler.errors import PlanError
from reconciler.plan.expansion import reference_values
from reconciler.plan.job_plan import (
    ContainerPlan,
    EnvFrom,
    JobPlan,
    KeyRef,
    MountPlan,
    PodPlan,
    StepPlan,
    VolumePlan,
)
from reconciler.plan.resolver import Lookup, LookupValues, expand_container, resolve_files

MASK: Final = "****"


@dataclass(frozen=True)
class _MaskedValues(LookupValues):
    """Values for display: those of Secrets are masked, missing ones are placeholders."""

    def get(self, ref: KeyRef) -> bytes | None:
        if ref.kind == "Secret":
            return MASK.encode()
        try:
            return super().get(ref)
        except PlanError:
            return f"<{ref.kind} {ref.name}/{ref.key}>".encode()

    def get_all(self, source: EnvFrom) -> Mapping[str, bytes]:
        data = super().get_all(replace(source, optional=True))
        return dict.fromkeys(data, MASK.encode()) if source.kind == "Secret" else data


def render_job(plan: JobPlan, *, lookup: Lookup) -> dict[str, Any]:
    """Renders one entry of ``jobs``.

    Args:
        plan: the job.
        lookup: data of ConfigMaps (and names of Secrets' keys) by kind and name, in the job's namespace.
    """
    values = _MaskedValues(lookup)
    references = reference_values({}, plan.port)
    return {
        "namespace": plan.namespace,
        "name": plan.name,
        "nodes": plan.nodes,
        "network": plan.network,
        "framework": plan.framework,
        "suspend": plan.suspend,
        "labels": dict(plan.labels),
        "annotations": dict(plan.annotations),
        "steps": [_step(step) for step in plan.steps],
        "containers": [
            _container(plan, pod, container, references, values)
            for step in plan.steps
            for pod in step.pods
            for container in pod.containers
        ],
        "volumes": [
            {"step": step.name, **volume.raw}
            for step in plan.steps
            for pod in step.pods[:1]
            for volume in pod.volumes
        ],
        "files": dict(_files(plan, references, values)),
    }


def _step(step: StepPlan) -> dict[str, Any]:
    return {
        "name": step.name,
        "count": step.count,
        "after": [{"name": dependency.name, "status": dependency.status} for dependency in step.after],
        "role": step.role,
        "restartPolicy": step.restart_policy,
        "backoffLimit": step.backoff_limit,
    }


def _container(
    plan: JobPlan,
    pod: PodPlan,
    container: ContainerPlan,
    references: Mapping[str, str],
    values: _MaskedValues,
) -> dict[str, Any]:
    resolved = expand_container(container, references=references, values=values)
    return {
        "name": container.name,
        "step": pod.step,
        "index": pod.index,
        "rank": pod.rank,
        "container": container.container,
        "kind": container.kind,
        "hostname": pod.hostname,
        "image": container.image,
        "command": None if resolved.command is None else list(resolved.command),
        "args": None if resolved.args is None else list(resolved.args),
        "env": dict(resolved.env),
        "env_from": [_env_from(source) for source in container.env_from],
        "resources": dict(container.resources.raw),
        "mounts": [_mount(mount) for mount in resolved.mounts],
        "ports": list(container.ports),
        "labels": {**pod.labels, **_project_labels(plan, pod, container)},
        "annotations": dict(pod.annotations),
        "securityContext": dict(container.security.raw),
    }


def _env_from(source: EnvFrom) -> dict[str, Any]:
    field = "secretRef" if source.kind == "Secret" else "configMapRef"
    named: dict[str, Any] = {"name": source.name}
    if source.optional:
        named["optional"] = True
    return {field: named, "prefix": source.prefix} if source.prefix else {field: named}


def _mount(mount: MountPlan) -> dict[str, Any]:
    shown = {"name": mount.volume, "path": mount.path, "readOnly": mount.read_only}
    return {**shown, "subPath": mount.sub_path} if mount.sub_path else shown


def _project_labels(plan: JobPlan, pod: PodPlan, container: ContainerPlan) -> dict[str, str]:
    """Returns this project's labels, except those that only a run has (uid, instance, attempt, spec hash)."""
    labels = {
        names.LABEL_JOB: plan.name,
        names.LABEL_TRAINJOB: plan.name,
        names.LABEL_NAMESPACE: plan.namespace,
        names.LABEL_STEP: pod.step,
        names.LABEL_INDEX: str(pod.index),
        names.LABEL_CONTAINER: container.container,
        names.LABEL_KIND: container.kind,
    }
    return labels if pod.rank is None else {**labels, names.LABEL_RANK: str(pod.rank)}


def _files(plan: JobPlan, references: Mapping[str, str], values: _MaskedValues) -> Iterator[tuple[str, str]]:
    """Yields files by ``step:path``, as the containers of the step's first pod see them."""
    for step in plan.steps:
        for pod in step.pods[:1]:
            volumes = {volume.name: volume for volume in pod.volumes}
            for container in pod.containers:
                for mount in container.mounts:
                    yield from _mounted_files(step.name, mount, volumes[mount.volume], references, values)


def _mounted_files(
    step: str, mount: MountPlan, volume: VolumePlan, references: Mapping[str, str], values: _MaskedValues
) -> Iterator[tuple[str, str]]:
    if volume.kind != "files":
        return
    folder, sub_path = mount.path.rstrip("/"), mount.sub_path.rstrip("/")
    for path, (content, _) in resolve_files(volume, references=references, values=values).items():
        text = content.decode("utf-8", errors="replace")
        if not mount.sub_path:
            yield f"{step}:{folder}/{path}", text
        elif path == mount.sub_path:
            yield f"{step}:{mount.path}", text
        elif path.startswith(f"{sub_path}/"):
            yield f"{step}:{folder}/{path.removeprefix(f'{sub_path}/')}", text
