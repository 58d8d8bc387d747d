"""Environment of a container: values, references to Secrets and ConfigMaps, the downward API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reconciler.plan.job_plan import EnvFrom, EnvVar, KeyRef
from reconciler.plan.pod.downward_api import RESTARTS, PodView
from reconciler.plan.warnings import Notices


def plan_env(container: Mapping[str, Any], pod: PodView, notices: Notices) -> tuple[EnvVar, ...]:
    """The container's variables in order; what is known of the pod is filled in."""
    variables = [
        _variable(variable, container, pod, notices.at(f"env[{place}]"))
        for place, variable in enumerate(container.get("env") or ())
    ]
    return tuple(v for v in variables if v is not None)


def plan_env_from(sources: Iterable[Mapping[str, Any]]) -> tuple[EnvFrom, ...]:
    """Secrets and ConfigMaps of which every key is a variable."""
    planned = []
    for source in sources:
        kind = "Secret" if source.get("secretRef") else "ConfigMap"
        named = source.get("secretRef") or source.get("configMapRef") or {}
        planned.append(
            EnvFrom(
                kind="Secret" if kind == "Secret" else "ConfigMap",
                name=named.get("name") or "",
                prefix=source.get("prefix") or "",
                optional=bool(named.get("optional")),
            )
        )
    return tuple(planned)


def _variable(
    variable: Mapping[str, Any], container: Mapping[str, Any], pod: PodView, notices: Notices
) -> EnvVar | None:
    name = variable["name"]
    source = variable.get("valueFrom") or {}
    for kind, selector in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")):
        if ref := source.get(selector):
            return EnvVar(name=name, ref=key_ref(kind, ref))
    if ref := source.get("fieldRef"):
        return EnvVar(name=name, value=field_value(ref, pod, notices.at("valueFrom.fieldRef")))
    if ref := source.get("resourceFieldRef"):
        return EnvVar(
            name=name,
            value=resource_value(ref, container["name"], pod, notices.at("valueFrom.resourceFieldRef")),
        )
    if source.get("fileKeyRef"):
        notices.say("valueFrom.fileKeyRef", "variables from files of a volume are not supported: left out")
        return None
    return EnvVar(name=name, value=str(variable.get("value") or ""))


def key_ref(kind: str, ref: Mapping[str, Any]) -> KeyRef:
    """A key of a Secret or ConfigMap."""
    return KeyRef(
        kind="Secret" if kind == "Secret" else "ConfigMap",
        name=ref.get("name") or "",
        key=ref["key"],
        optional=bool(ref.get("optional")),
    )


def field_value(ref: Mapping[str, Any], pod: PodView, notices: Notices) -> str:
    """Text of a ``fieldRef``; a dollar sign in it stays one."""
    text = pod.field(ref["fieldPath"])
    if text is None:
        notices.say("fieldPath", f"{ref['fieldPath']} is not known on one host: the value is empty")
        return ""
    return text if is_reference(ref) else text.replace("$", "$$")


def is_reference(ref: Mapping[str, Any]) -> bool:
    """Whether a ``fieldRef`` is about what only a running job has, so that its text is a reference."""
    path: str = ref["fieldPath"]
    return path.startswith("status.") or RESTARTS in path


def resource_value(ref: Mapping[str, Any], own: str, pod: PodView, notices: Notices) -> str:
    """Text of a ``resourceFieldRef``."""
    text = pod.resource(ref.get("containerName") or own, ref["resource"], ref.get("divisor"))
    if text is None:
        notices.say("resource", f"{ref['resource']} is not set, and a node's capacity is not known here: 0")
        return "0"
    return text
