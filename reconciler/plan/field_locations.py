"""Where in a job's documents a field of a planned pod was written. Pure.

A pod is the runtime's, with the job's patches and its own sections laid over it. A fault that points at the
wrong file sends people away: so a field is looked for where it wins, in the patches from the last to the
first and then in the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Raw = Mapping[str, Any]
_POD: Final = "template.spec.template.spec"
_TRAINER: Final = "trainer.kubeflow.org/trainjob-ancestor-step"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A place in one of the two documents."""

    document: Literal["job", "runtime"]
    path: str


def origin_of(step: str, field: Sequence[str], *, job: Raw, runtime: Raw) -> Origin:
    """Where a field of a step's pod comes from; the job's ``runtimeRef`` where it stands nowhere.

    Args:
        step: name of the replicated job; "" for the job as a whole.
        field: within the pod's specification, items of lists by name.
        job: the TrainJob's document.
        runtime: the runtime's.
    """
    spec = _mapping(job.get("spec"))
    if not step:
        number = "spec.trainer.numNodes"
        return Origin(document="job", path=number if "trainer" in spec else "spec.runtimeRef")
    own = _own_section(step, field, spec, runtime)
    if own:
        return Origin(document="job", path=own)
    patches = spec.get("runtimePatches")
    for place, patch in reversed(list(enumerate(patches if isinstance(patches, list) else ()))):
        template = _mapping(_mapping(_mapping(patch).get("trainingRuntimeSpec")).get("template"))
        base = f"spec.runtimePatches[{place}].trainingRuntimeSpec.template.spec.replicatedJobs"
        if found := _in_steps(_mapping(template.get("spec")), base, step, field):
            return Origin(document="job", path=found)
    template = _mapping(_mapping(runtime.get("spec")).get("template"))
    base = "spec.template.spec.replicatedJobs"
    if found := _in_steps(_mapping(template.get("spec")), base, step, field):
        return Origin(document="runtime", path=found)
    return Origin(document="job", path="spec.runtimeRef")


def _own_section(step: str, field: Sequence[str], spec: Raw, runtime: Raw) -> str:
    """A field that ``spec.trainer`` sets itself: the image of the training container, its devices."""
    trainer = _mapping(spec.get("trainer"))
    if len(field) < 3 or field[0] != "containers" or field[1] != "node":
        return ""
    if _role(step, runtime) not in {"trainer", ""}:
        return ""
    if field[2] == "image" and trainer.get("image"):
        return "spec.trainer.image"
    if field[2] == "resources" and _mapping(trainer.get("resourcesPerNode")):
        return "spec.trainer.resourcesPerNode"
    return ""


def _role(step: str, runtime: Raw) -> str:
    template = _mapping(_mapping(_mapping(runtime.get("spec")).get("template")).get("spec"))
    for entry in template.get("replicatedJobs") or ():
        if _mapping(entry).get("name") == step:
            metadata = _mapping(_mapping(_mapping(entry).get("template")).get("metadata"))
            return str(_mapping(metadata.get("labels")).get(_TRAINER, ""))
    return ""


def _in_steps(jobset: Raw, base: str, step: str, field: Sequence[str]) -> str:
    entries = jobset.get("replicatedJobs")
    for place, entry in enumerate(entries if isinstance(entries, list) else ()):
        if _mapping(entry).get("name") != step:
            continue
        value: Any = entry
        for key in _POD.split("."):
            value = _mapping(value).get(key)
        path = _descend(value, field)
        # The pod's own security context stands for a container's.
        if not path and field[0] in {"containers", "initContainers"} and "securityContext" in field:
            path = _descend(value, field[2:])
        if path:
            return f"{base}[{place}].{_POD}.{path}"
    return ""


def _descend(value: Any, field: Sequence[str]) -> str:
    """The path of a field, indexes in place of names; "" where it is not there."""
    path = ""
    for key in field:
        if isinstance(value, list):
            place = next((n for n, item in enumerate(value) if _mapping(item).get("name") == key), None)
            if place is None:
                return path
            path, value = f"{path}[{place}]", value[place]
        elif isinstance(value, Mapping) and key in value:
            path, value = f"{path}.{key}" if path else key, value[key]
        else:
            return ""
    return path


def _mapping(value: Any) -> Raw:
    return value if isinstance(value, Mapping) else {}
