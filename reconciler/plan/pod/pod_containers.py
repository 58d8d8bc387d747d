"""Containers of a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.errors import PlanError
from reconciler.plan.field_warnings import FieldWarnings
from reconciler.plan.job_plan import ContainerKind, ContainerPlan, MountPlan
from reconciler.plan.pod.downward_api import PodFields
from reconciler.plan.pod.pod_environment import plan_env, plan_env_from
from reconciler.plan.pod.pod_probes import plan_probe
from reconciler.plan.pod.pod_resources import plan_resources
from reconciler.plan.pod.pod_security import plan_security
from reconciler.plan.pod.volume_paths import validate_path


def plan_container(
    container: Mapping[str, Any],
    *,
    kind: ContainerKind,
    name: str,
    primary: bool,
    pod_spec: Mapping[str, Any],
    pod: PodFields,
    warnings: FieldWarnings,
) -> ContainerPlan:
    """Plans one container of one pod.

    Args:
        container: as in the template, with patches and the job's own sections merged.
        kind: main, init or sidecar.
        name: its name on the engine.
        primary: whether it has the pod's name.
        pod_spec: for the pod's volumes and security context.
        pod: for the downward API.
        warnings: at the container.

    Raises:
        PlanError: a mount leads out of its volume, two have the same path, a probe names an unknown port.
    """
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    readiness = plan_probe(container.get("readinessProbe"), container)
    startup = plan_probe(container.get("startupProbe"), container)
    return ContainerPlan(
        name=name,
        container=container["name"],
        kind=kind,
        primary=primary,
        image=container.get("image") or "",
        pull_policy=container.get("imagePullPolicy") or "",
        command=tuple(container["command"]) if container.get("command") else None,
        args=tuple(container["args"]) if container.get("args") else None,
        env=plan_env(container, pod, warnings),
        env_from=plan_env_from(container.get("envFrom") or ()),
        working_dir=container.get("workingDir") or "",
        resources=plan_resources(container.get("resources") or {}),
        mounts=_plan_mounts(container, pod_spec),
        ports=tuple(port["containerPort"] for port in container.get("ports") or ()),
        security=plan_security(container.get("securityContext") or {}, pod_spec.get("securityContext") or {}),
        readiness=readiness,
        startup=startup,
        pre_stop=tuple((hook.get("exec") or {}).get("command") or ()),
        pre_stop_sleep=float((hook.get("sleep") or {}).get("seconds") or 0),
        tty=bool(container.get("tty")),
        stdin=bool(container.get("stdin")),
    )


def _plan_mounts(container: Mapping[str, Any], pod_spec: Mapping[str, Any]) -> tuple[MountPlan, ...]:
    mounts = tuple(_plan_mount(mount, pod_spec) for mount in container.get("volumeMounts") or ())
    paths = [mount.path.rstrip("/") for mount in mounts]
    duplicate = next((path for path in paths if paths.count(path) > 1), None)
    if duplicate is not None:
        raise PlanError(
            f"The container {container['name']!r} mounts two volumes at {duplicate}.",
            path="spec.runtimeRef",
            remedy="Give one of them another mountPath.",
        )
    return mounts


def _plan_mount(mount: Mapping[str, Any], pod_spec: Mapping[str, Any]) -> MountPlan:
    """Plans a mount; it is read-only if its claim is."""
    volumes = {volume["name"]: volume for volume in pod_spec.get("volumes") or ()}
    claim = (volumes.get(mount["name"]) or {}).get("persistentVolumeClaim") or {}
    expression = mount.get("subPathExpr") or ""
    sub_path = expression or mount.get("subPath") or ""
    return MountPlan(
        volume=mount["name"],
        path=mount["mountPath"],
        read_only=bool(mount.get("readOnly") or claim.get("readOnly")),
        sub_path=validate_path(sub_path, what=f"the mount at {mount['mountPath']}"),
        expand=bool(expression),
    )
