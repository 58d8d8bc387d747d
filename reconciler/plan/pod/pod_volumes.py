"""Volumes of a pod, in the five kinds that an engine has.

emptyDir is a scratch folder or memory; hostPath a folder of the host; a persistentVolumeClaim a volume
of the engine by the claim's name; configMap, secret, projected and downwardAPI are files. Storage that
needs a cluster (csi, nfs, ephemeral, ...) is an empty scratch folder, about which
:func:`reconciler.api.find_unsupported_fields` warns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from reconciler import names
from reconciler.api.field_paths import pod_spec_path
from reconciler.api.quantities import to_int
from reconciler.errors import PlanError
from reconciler.plan.draft import JobDraft, Raw, StepDraft
from reconciler.plan.field_warnings import FieldWarnings
from reconciler.plan.job_plan import EnvFrom, FileSource, KeyRef, VolumePlan
from reconciler.plan.pod.downward_api import PodFields
from reconciler.plan.pod.volume_paths import HOST_PATH_TYPES, validate_path
from reconciler.plan.progress_reporting import TOKEN_FILE, token_audience, token_secret_name

_DEFAULT_MODE: Final = 0o644


def add_claimed_volumes(draft: JobDraft) -> None:
    """Adds to each pod the volumes of JobSet's ``volumeClaimPolicies`` that its containers mount."""
    claims = _job_claims(draft)
    for step in draft.steps:
        present = {volume["name"] for volume in step.pod.get("volumes") or ()}
        for name in dict.fromkeys(_mounted_volumes(step)):
            if name in claims and name not in present:
                source = {"claimName": draft.object_name(name)}
                step.add_volume({"name": name, "persistentVolumeClaim": source})


def _job_claims(draft: JobDraft) -> dict[str, bool]:
    """Returns the claims of the job's own by name, and whether they are retained when the job is deleted."""
    claims = {}
    for policy in draft.jobset_spec.get("volumeClaimPolicies") or ():
        retain = (policy.get("retentionPolicy") or {}).get("whenDeleted") == "Retain"
        for template in policy.get("templates") or ():
            claims[(template.get("metadata") or {}).get("name") or ""] = retain
    return claims


def _mounted_volumes(step: StepDraft) -> Iterator[str]:
    for container in step.all_containers():
        for mount in container.get("volumeMounts") or ():
            yield mount["name"]


def plan_volumes(
    draft: JobDraft, step: StepDraft, pod: PodFields, warnings: FieldWarnings
) -> tuple[VolumePlan, ...]:
    """Plans the pod's volumes.

    Raises:
        PlanError: a container mounts a volume that the pod does not have, or a volume is invalid.
    """
    volumes = step.pod.get("volumes") or []
    present = {volume["name"] for volume in volumes}
    for name in _mounted_volumes(step):
        if name not in present:
            raise PlanError(
                f"The step {step.name!r} mounts the volume {name!r}, which its pod does not have.",
                path="spec.runtimeRef",
                remedy=f"Add {name!r} to the volumes of {pod_spec_path(step.position)}.",
            )
    return tuple(
        _plan_volume(draft, volume, pod, warnings.child(f"volumes[{position}]"))
        for position, volume in enumerate(volumes)
    )


def _plan_volume(draft: JobDraft, volume: Raw, pod: PodFields, warnings: FieldWarnings) -> VolumePlan:
    name = volume["name"]
    kinds = [key for key, source in volume.items() if key != "name" and source is not None]
    if len(kinds) > 1:
        # Of the runtime's own validation has found it already.
        raise PlanError(
            f"The runtime patches make the volume {name!r} both {' and '.join(sorted(kinds))}.",
            path="spec.runtimePatches",
            remedy="Kubernetes allows one kind for a volume: give the patch's volume another name.",
        )
    kind = kinds[0] if kinds else "emptyDir"
    source = volume.get(kind) or {}
    if kind == "emptyDir":
        size = to_int(source["sizeLimit"]) if source.get("sizeLimit") else None
        in_memory = source.get("medium") == "Memory"
        return VolumePlan(name=name, kind="memory" if in_memory else "scratch", size=size, raw=volume)
    if kind == "hostPath":
        return _plan_host_path(volume, source)
    if kind == "persistentVolumeClaim":
        return _plan_claim(draft, volume, source)
    if kind in ("configMap", "secret", "downwardAPI", "projected"):
        return _plan_files(draft, volume, kind, pod, warnings.child(kind))
    return VolumePlan(name=name, kind="scratch", raw=volume)


def _plan_host_path(volume: Raw, source: Mapping[str, Any]) -> VolumePlan:
    name, host_type = volume["name"], source.get("type") or ""
    if host_type and host_type not in HOST_PATH_TYPES:
        raise PlanError(
            f"The hostPath volume {name!r} has the type {host_type!r}, which there is not.",
            path="spec.runtimeRef",
            remedy=f"Leave it out, or write one of {', '.join(HOST_PATH_TYPES)}.",
        )
    validate_path(source["path"].lstrip("/"), what=f"the hostPath volume {name!r}")
    return VolumePlan(name=name, kind="host", source=source["path"], host_type=host_type, raw=volume)


def _plan_claim(draft: JobDraft, volume: Raw, source: Mapping[str, Any]) -> VolumePlan:
    """Plans a claim: one of the job's own is deleted with it unless its policy retains it; others stay."""
    claim = source["claimName"]
    own = {draft.object_name(name): retain for name, retain in _job_claims(draft).items()}
    return VolumePlan(
        name=volume["name"],
        kind="named",
        source=names.qualified_name(draft.namespace, claim),
        retain=own.get(claim, True),
        raw=volume,
    )


def _plan_files(
    draft: JobDraft, volume: Raw, kind: str, pod: PodFields, warnings: FieldWarnings
) -> VolumePlan:
    source = volume.get(kind) or {}
    if kind == "projected":
        projections = [
            _plan_projection(draft, part, pod, warnings.child(f"sources[{position}]"))
            for position, part in enumerate(source.get("sources") or ())
        ]
    else:
        projections = [_plan_projection(draft, {kind: source}, pod, warnings)]
    mode = source.get("defaultMode")
    return VolumePlan(
        name=volume["name"],
        kind="files",
        files=tuple(file for files, _ in projections for file in files),
        all_keys_of=tuple(source for _, sources in projections for source in sources),
        default_mode=_DEFAULT_MODE if mode is None else mode,
        raw=volume,
    )


def _plan_projection(
    draft: JobDraft, part: Mapping[str, Any], pod: PodFields, warnings: FieldWarnings
) -> tuple[list[FileSource], list[EnvFrom]]:
    """Returns the files of one source, and the Secrets and ConfigMaps of which it takes every key."""
    if part.get("configMap") is not None:
        return _plan_keys(draft, "ConfigMap", part["configMap"])
    if part.get("secret") is not None:
        return _plan_keys(draft, "Secret", part["secret"])
    if part.get("downwardAPI") is not None:
        items = part["downwardAPI"].get("items") or ()
        return [_plan_field(item, pod, warnings.child(f"items[{n}]")) for n, item in enumerate(items)], []
    token = part.get("serviceAccountToken") or {}
    if token.get("audience") == token_audience(draft.namespace, draft.name):
        ref = KeyRef(kind="Secret", name=token_secret_name(draft.name), key=TOKEN_FILE)
        return [FileSource(path=validate_path(token["path"], what="the token"), ref=ref)], []
    return [], []


def _plan_keys(
    draft: JobDraft, kind: Literal["Secret", "ConfigMap"], source: Mapping[str, Any]
) -> tuple[list[FileSource], list[EnvFrom]]:
    """Plans the files of a Secret or ConfigMap, of its items or all keys; a framework's are in the draft."""
    name = source.get("secretName") or source.get("name") or ""
    optional = bool(source.get("optional"))
    items = source.get("items") or ()
    written = {
        key: text for (owner, key), text in draft.files.items() if (kind, owner) == ("ConfigMap", name)
    }
    if not items and not written:
        return [], [EnvFrom(kind=kind, name=name, optional=optional)]
    files = []
    for item in items or [{"key": key, "path": key} for key in written]:
        key = item["key"]
        files.append(
            FileSource(
                path=validate_path(item["path"], what=f"the {kind} {name!r}"),
                content=written.get(key, ""),
                ref=None if key in written else KeyRef(kind=kind, name=name, key=key, optional=optional),
                mode=item.get("mode"),
            )
        )
    return files, []


def _plan_field(item: Mapping[str, Any], pod: PodFields, warnings: FieldWarnings) -> FileSource:
    """Plans a file of the downward API; only references in it are expanded."""
    if ref := item.get("fieldRef"):
        content = pod.field_value(ref, warnings.child("fieldRef"))
    else:
        content = pod.resource_value(item["resourceFieldRef"], "", warnings.child("resourceFieldRef"))
    path = validate_path(item["path"], what="the downward API")
    return FileSource(path=path, content=content, mode=item.get("mode"))
