"""The manifest and field in which a field of a planned pod was written. Pure.

A pod is the runtime's, with the job's patches and its own sections merged over it, and a fault that names the
wrong file sends people away. So a field is searched for where the last word on it is: in the job's own
sections, in the patches from the last to the first, then in the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reconciler.api.field_paths import pod_spec_path
from reconciler.api.step_names import NODE, TRAINER
from reconciler.names import LABEL_ANCESTOR

Raw = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class FieldLocation:
    """A field path in one of the two documents."""

    document: Literal["job", "runtime"]
    path: str


def locate_field(step: str, field: Sequence[str], *, job: Raw, runtime: Raw) -> FieldLocation:
    """Returns where a field of a step's pod is set; the job's ``runtimeRef`` where it is set nowhere.

    Args:
        step: name of the replicated job; "" for the job as a whole.
        field: within the pod's specification, items of lists by name.
        job: the TrainJob's document.
        runtime: the runtime's document.
    """
    if not step:
        has_trainer = "trainer" in (_get(job, "spec") or ())
        path = "spec.trainer.numNodes" if has_trainer else "spec.runtimeRef"
        return FieldLocation(document="job", path=path)
    if own := _trainer_field(step, field, job, runtime):
        return FieldLocation(document="job", path=own)
    patches = _list(_get(job, "spec", "runtimePatches"))
    for position, patch in reversed(list(enumerate(patches))):
        if found := _find_in_spec(_get(patch, "trainingRuntimeSpec"), step, field):
            path = f"spec.runtimePatches[{position}].trainingRuntimeSpec{found.removeprefix('spec')}"
            return FieldLocation(document="job", path=path)
    if found := _find_in_spec(_get(runtime, "spec"), step, field):
        return FieldLocation(document="runtime", path=found)
    return FieldLocation(document="job", path="spec.runtimeRef")


def _trainer_field(step: str, field: Sequence[str], job: Raw, runtime: Raw) -> str:
    """Returns the field of ``spec.trainer`` that sets ``field``: image or resources of the container."""
    if tuple(field[:2]) != ("containers", NODE) or _role(step, runtime) not in {TRAINER, ""}:
        return ""
    section = field[2] if len(field) > 2 else ""
    if section == "image" and _get(job, "spec", "trainer", "image"):
        return "spec.trainer.image"
    if section == "resources" and _get(job, "spec", "trainer", "resourcesPerNode"):
        return "spec.trainer.resourcesPerNode"
    return ""


def _role(step: str, runtime: Raw) -> str:
    for entry in _replicated_jobs(_get(runtime, "spec")):
        if _get(entry, "name") == step:
            return str(_get(entry, "template", "metadata", "labels", LABEL_ANCESTOR) or "")
    return ""


def _replicated_jobs(spec: Any) -> list[Any]:
    return _list(_get(spec, "template", "spec", "replicatedJobs"))


def _find_in_spec(spec: Any, step: str, field: Sequence[str]) -> str:
    """Returns the path of a field of a step's pod in a runtime's spec; "" where it is missing."""
    for position, entry in enumerate(_replicated_jobs(spec)):
        if _get(entry, "name") != step:
            continue
        pod = _get(entry, "template", "spec", "template", "spec")
        path = _find(pod, field)
        # A container without a security context has the pod's.
        if not path and field[0] in {"containers", "initContainers"} and "securityContext" in field:
            path = _find(pod, field[2:])
        if path:
            return f"{pod_spec_path(position)}.{path}"
    return ""


def _find(value: Any, field: Sequence[str]) -> str:
    """Returns the path of a field, with indexes in place of names; "" where it is missing."""
    path = ""
    for key in field:
        if isinstance(value, list):
            position = next((n for n, item in enumerate(value) if _get(item, "name") == key), None)
            if position is None:
                return path
            path, value = f"{path}[{position}]", value[position]
        elif isinstance(value, Mapping) and key in value:
            path, value = f"{path}.{key}" if path else key, value[key]
        else:
            return ""
    return path


def _get(value: Any, *keys: str) -> Any:
    """Returns the value at the end of the keys; None where a map or a key is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
