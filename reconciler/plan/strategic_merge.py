"""Runtime patches: Kubernetes' strategic merge, on decoded data.

Upstream merges each patch of ``spec.runtimePatches`` into the job template of the replicated job it
names with ``strategicpatch.StrategicMergePatch``. The rules that matter here: maps merge key by key,
lists that have a merge key merge item by item, every other list is replaced as a whole.

What can go wrong: a patch may leave an object that Kubernetes would reject (a volume of two kinds);
:mod:`reconciler.plan.pod` rejects it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

#: Lists that merge by a key of their items (``patchMergeKey`` in Kubernetes' types), by field name.
MERGE_KEYS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("containers", "initContainers", "ephemeralContainers", "env", "volumes"), "name"),
    **dict.fromkeys(("imagePullSecrets", "schedulingGates", "resourceClaims", "claims"), "name"),
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}


def apply_patches(template: Mapping[str, Any], patches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Applies the job's ``runtimePatches``, in order, to a copy of the runtime's ``spec.template``.

    Labels and annotations of a patch's template belong to the job as a whole; everything else goes into the
    replicated job of the same name. Admission rejects a patch for a replicated job that the runtime lacks, so
    it is skipped here.
    """
    result = copy.deepcopy(dict(template))
    for patch in patches:
        layer = (patch.get("trainingRuntimeSpec") or {}).get("template") or {}
        metadata = layer.get("metadata") or {}
        own = {k: v for k, v in metadata.items() if k in ("labels", "annotations") and v}
        if own:
            result["metadata"] = merge(result.get("metadata") or {}, own)
        for job in (layer.get("spec") or {}).get("replicatedJobs") or ():
            if job.get("template"):
                _patch_job(result, job)
    return result


def _patch_job(template: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for job in template.get("spec", {}).get("replicatedJobs") or ():
        if job.get("name") == patch["name"]:
            job["template"] = merge(job.get("template") or {}, patch["template"])


def merge(original: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Merges ``patch`` over ``original``; neither is changed.

    Absent values do nothing: upstream decodes a patch into types before it merges, and there a null
    or an empty list is the same as a field that is not there.
    """
    result = dict(original)
    for key, value in patch.items():
        if value is None or value == []:
            continue
        before = result.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            result[key] = merge(before, value)
        elif isinstance(value, list) and isinstance(before, list) and key in MERGE_KEYS:
            result[key] = _merge_list(before, value, key)
        else:
            result[key] = copy.deepcopy(value)
    return result


def _merge_list(original: list[Any], patch: list[Any], field: str) -> list[Any]:
    """Merges by key, in Kubernetes' order: new items come as early as the order of both lists allows.

    The order counts for ``env``, where a variable may refer to those before it.
    """
    key = MERGE_KEYS[field]
    before = {item[key]: item for item in original}
    positions = {item[key]: position for position, item in enumerate(original)}
    patched = [
        _merge_item(before[item[key]], item, field) if item[key] in before else copy.deepcopy(item)
        for item in patch
    ]
    names = {item[key] for item in patched}
    untouched = [item for item in original if item[key] not in names]
    result: list[Any] = []
    while untouched and patched:
        position = positions.get(patched[0][key])
        first = position is not None and positions[untouched[0][key]] < position
        result.append((untouched if first else patched).pop(0))
    return result + untouched + patched


def _merge_item(original: Mapping[str, Any], patch: Mapping[str, Any], field: str) -> dict[str, Any]:
    if field == "env":
        # A value and a valueFrom exclude each other: what the patch brings replaces what was there.
        original = {
            k: v for k, v in original.items() if k == "name" or not {"value", "valueFrom"} & set(patch)
        }
    return merge(original, patch)
