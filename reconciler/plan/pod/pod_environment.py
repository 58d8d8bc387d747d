"""Environment of a container: values, references to Secrets and ConfigMaps, the downward API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from reconciler.plan.field_warnings import FieldWarnings
from reconciler.plan.job_plan import EnvFrom, EnvVar, KeyRef
from reconciler.plan.pod.device_variables import IGNORED, gives_devices
from reconciler.plan.pod.downward_api import RESTART_ATTEMPT, PodFields

_Kind = Literal["Secret", "ConfigMap"]
_KEY_REFS: Final[Mapping[str, _Kind]] = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap"}
_ENV_FROM: Final[Mapping[str, _Kind]] = {"secretRef": "Secret", "configMapRef": "ConfigMap"}


def plan_env(container: Mapping[str, Any], pod: PodFields, warnings: FieldWarnings) -> tuple[EnvVar, ...]:
    """Returns the container's variables in order, with the values of the downward API."""
    variables = [
        _plan_variable(variable, container, pod, warnings.child(f"env[{position}]"))
        for position, variable in enumerate(container.get("env") or ())
    ]
    return tuple(v for v in variables if v is not None)


def plan_env_from(sources: Iterable[Mapping[str, Any]]) -> tuple[EnvFrom, ...]:
    """Returns the Secrets and ConfigMaps of which every key is a variable."""
    planned = []
    for source in sources:
        field = "secretRef" if source.get("secretRef") else "configMapRef"
        ref = source.get(field) or {}
        planned.append(
            EnvFrom(
                kind=_ENV_FROM[field],
                name=ref.get("name") or "",
                prefix=source.get("prefix") or "",
                optional=bool(ref.get("optional")),
            )
        )
    return tuple(planned)


def _plan_variable(
    variable: Mapping[str, Any], container: Mapping[str, Any], pod: PodFields, warnings: FieldWarnings
) -> EnvVar | None:
    name = variable["name"]
    source = variable.get("valueFrom") or {}
    for field, kind in _KEY_REFS.items():
        if ref := source.get(field):
            optional = bool(ref.get("optional"))
            key = KeyRef(kind=kind, name=ref.get("name") or "", key=ref["key"], optional=optional)
            return EnvVar(name=name, ref=key)
    if ref := source.get("fieldRef"):
        text = pod.field_value(ref, warnings.child("valueFrom.fieldRef"))
        return EnvVar(name=name, value=text if _is_reference(ref) else text.replace("$", "$$"))
    if ref := source.get("resourceFieldRef"):
        at = warnings.child("valueFrom.resourceFieldRef")
        return EnvVar(name=name, value=pod.resource_value(ref, container["name"], at))
    if source.get("fileKeyRef"):
        warnings.add("valueFrom.fileKeyRef", "variables from files of a volume are not supported: left out")
        return None
    value = str(variable.get("value") or "")
    if gives_devices(name, value):
        warnings.add("value", IGNORED)
        return None
    return EnvVar(name=name, value=value)


def _is_reference(ref: Mapping[str, Any]) -> bool:
    """Whether the text of a ``fieldRef`` is a reference, in which a dollar sign must not be escaped."""
    path: str = ref["fieldPath"]
    return path.startswith("status.") or RESTART_ATTEMPT in path
