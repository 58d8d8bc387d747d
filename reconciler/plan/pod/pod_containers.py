"""Containers of a pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.errors import PlanError
from reconciler.plan.job_plan import ContainerKind, ContainerPlan, MountPlan
from reconciler.plan.pod.downward_api import PodView
from reconciler.plan.pod.pod_environment import plan_env, plan_env_from
from reconciler.plan.pod.pod_probes import plan_probe
from reconciler.plan.pod.pod_resources import plan_resources
from reconciler.plan.pod.pod_security import plan_security
from reconciler.plan.pod.volume_paths import inside
from reconciler.plan.warnings import Notices


def plan_container(
    container: Mapping[str, Any],
    *,
    kind: ContainerKind,
    name: str,
    primary: bool,
    pod_spec: Mapping[str, Any],
    pod: PodView,
    notices: Notices,
) -> ContainerPlan:
    """One container of one pod.

    Args:
        container: as in the template, patches and the job's own sections merged.
        kind: main, init or sidecar.
        name: its name on the engine.
        primary: whether it carries the pod's name.
        pod_spec: for the pod's security context.
        pod: what it may learn about its pod.
        notices: at the container.

    Raises:
        PlanError: a mount leads out of its volume, two are at one place, a probe names an unknown port.
    """
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    probes = {
        "readiness": plan_probe(container.get("readinessProbe"), container),
        "startup": plan_probe(container.get("startupProbe"), container),
    }
    return ContainerPlan(
        name=name,
        container=container["name"],
        kind=kind,
        primary=primary,
        image=container.get("image") or "",
        pull_policy=container.get("imagePullPolicy") or "",
        command=tuple(container["command"]) if container.get("command") else None,
        args=tuple(container["args"]) if container.get("args") else None,
        env=plan_env(container, pod, notices),
        env_from=plan_env_from(container.get("envFrom") or ()),
        working_dir=container.get("workingDir") or "",
        resources=plan_resources(container.get("resources") or {}),
        mounts=_mounts(container, pod_spec),
        ports=tuple(port["containerPort"] for port in container.get("ports") or ()),
        security=plan_security(container.get("securityContext") or {}, pod_spec.get("securityContext") or {}),
        readiness=probes["readiness"],
        startup=probes["startup"],
        pre_stop=tuple((hook.get("exec") or {}).get("command") or ()),
        pre_stop_sleep=float((hook.get("sleep") or {}).get("seconds") or 0),
        tty=bool(container.get("tty")),
        stdin=bool(container.get("stdin")),
    )


def _mounts(container: Mapping[str, Any], pod_spec: Mapping[str, Any]) -> tuple[MountPlan, ...]:
    mounts = tuple(_mount(mount, pod_spec) for mount in container.get("volumeMounts") or ())
    paths = [mount.path.rstrip("/") for mount in mounts]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise PlanError(
            f"The container {container['name']!r} mounts two volumes at {twice}.",
            path="spec.runtimeRef",
            remedy="Give one of them another mountPath.",
        )
    return mounts


def _mount(mount: Mapping[str, Any], pod_spec: Mapping[str, Any]) -> MountPlan:
    """A mount; a claim that is read-only makes its mounts so."""
    volumes = {volume["name"]: volume for volume in pod_spec.get("volumes") or ()}
    claim = (volumes.get(mount["name"]) or {}).get("persistentVolumeClaim") or {}
    expression = mount.get("subPathExpr") or ""
    inside(expression or mount.get("subPath") or "", what=f"the mount at {mount['mountPath']}")
    return MountPlan(
        volume=mount["name"],
        path=mount["mountPath"],
        read_only=bool(mount.get("readOnly") or claim.get("readOnly")),
        sub_path=expression or mount.get("subPath") or "",
        expand=bool(expression),
    )
