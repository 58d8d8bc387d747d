"""Volumes of a pod, in the five kinds that an engine can give.

emptyDir is a scratch folder or memory; hostPath a folder of the host; a persistentVolumeClaim a volume
of the engine by the claim's name; configMap, secret, projected and downwardAPI are files. Storage that
needs a cluster (csi, nfs, ephemeral, ...) is an empty scratch folder; :func:`warn_meaningless` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from reconciler import names
from reconciler.api.quantities import to_bytes
from reconciler.errors import PlanError
from reconciler.plan.draft import JobDraft, Raw, StepDraft
from reconciler.plan.job_plan import EnvFrom, FileSource, KeyRef, VolumePlan
from reconciler.plan.pod.downward_api import PodView
from reconciler.plan.pod.pod_environment import field_value, is_reference, resource_value
from reconciler.plan.pod.volume_paths import inside
from reconciler.plan.policy.host_mounts import HOST_TYPES
from reconciler.plan.progress_reporting import TOKEN_FILE, audience, token_name
from reconciler.plan.warnings import Notices

DEFAULT_MODE: Final = 0o644


def add_claimed_volumes(draft: JobDraft) -> None:
    """Give each pod the volumes of JobSet's ``volumeClaimPolicies`` that its containers mount."""
    claims = _claims(draft)
    for step in draft.steps:
        present = {volume["name"] for volume in step.pod.get("volumes") or ()}
        for name in dict.fromkeys(_mounted(step)):
            if name in claims and name not in present:
                source = {"claimName": draft.own_name(name)}
                step.add_volume({"name": name, "persistentVolumeClaim": source})


def _claims(draft: JobDraft) -> dict[str, bool]:
    """Claims of the job itself by name: whether they are kept when it is deleted."""
    kept = {}
    for policy in (draft.template.get("spec") or {}).get("volumeClaimPolicies") or ():
        retain = (policy.get("retentionPolicy") or {}).get("whenDeleted") == "Retain"
        for template in policy.get("templates") or ():
            kept[(template.get("metadata") or {}).get("name") or ""] = retain
    return kept


def _mounted(step: StepDraft) -> Iterable[str]:
    for container in step.every_container():
        for mount in container.get("volumeMounts") or ():
            yield mount["name"]


def plan_volumes(draft: JobDraft, step: StepDraft, pod: PodView, notices: Notices) -> tuple[VolumePlan, ...]:
    """The pod's volumes.

    Raises:
        PlanError: a container mounts what the pod does not have.
    """
    volumes = step.pod.get("volumes") or []
    present = {volume["name"] for volume in volumes}
    for name in _mounted(step):
        if name not in present:
            raise PlanError(
                f"The step {step.name!r} mounts the volume {name!r}, which its pod does not have.",
                path="spec.runtimeRef",
                remedy=f"Add {name!r} to the volumes of {step.path}.template.spec.template.spec.",
            )
    return tuple(
        _volume(draft, volume, pod, notices.at(f"volumes[{place}]")) for place, volume in enumerate(volumes)
    )


def _volume(draft: JobDraft, volume: Raw, pod: PodView, notices: Notices) -> VolumePlan:
    name = volume["name"]
    kind = next((key for key in volume if key != "name"), "emptyDir")
    source = volume.get(kind) or {}
    if kind == "emptyDir":
        size = to_bytes(source["sizeLimit"]) if source.get("sizeLimit") else None
        in_memory = source.get("medium") == "Memory"
        return VolumePlan(name=name, kind="memory" if in_memory else "scratch", size=size, raw=volume)
    if kind == "hostPath":
        host_type = source.get("type") or ""
        if host_type and host_type not in HOST_TYPES:
            raise PlanError(
                f"The hostPath volume {name!r} has the type {host_type!r}, which there is not.",
                path="spec.runtimeRef",
                remedy=f"Leave it out, or write one of {', '.join(HOST_TYPES)}.",
            )
        inside(source["path"].lstrip("/"), what=f"the hostPath volume {name!r}")
        return VolumePlan(name=name, kind="host", source=source["path"], host_type=host_type, raw=volume)
    if kind == "persistentVolumeClaim":
        return _claim(draft, volume, source)
    if kind in ("configMap", "secret", "downwardAPI", "projected"):
        return _files(draft, volume, kind, pod, notices.at(kind))
    return VolumePlan(name=name, kind="scratch", raw=volume)


def _claim(draft: JobDraft, volume: Raw, source: Mapping[str, Any]) -> VolumePlan:
    """A claim: one of the job's own goes with it unless it is to be retained; any other stays."""
    claim = source["claimName"]
    own = {draft.own_name(name): retain for name, retain in _claims(draft).items()}
    return VolumePlan(
        name=volume["name"],
        kind="named",
        source=names.qualified(draft.namespace, claim),
        retain=own.get(claim, True),
        raw=volume,
    )


def _files(draft: JobDraft, volume: Raw, kind: str, pod: PodView, notices: Notices) -> VolumePlan:
    source = volume.get(kind) or {}
    parts = source.get("sources") or () if kind == "projected" else ({kind: source},)
    made = [
        _project(draft, part, pod, notices.at(f"sources[{place}]") if kind == "projected" else notices)
        for place, part in enumerate(parts)
    ]
    mode = source.get("defaultMode")
    return VolumePlan(
        name=volume["name"],
        kind="files",
        files=tuple(file for files, _ in made for file in files),
        all_of=tuple(whole for _, all_of in made for whole in all_of),
        default_mode=DEFAULT_MODE if mode is None else mode,
        raw=volume,
    )


def _project(
    draft: JobDraft, part: Mapping[str, Any], pod: PodView, notices: Notices
) -> tuple[list[FileSource], list[EnvFrom]]:
    """The files of one source, and what it takes as a whole."""
    for kind in ("configMap", "secret"):
        if part.get(kind) is not None:
            return _keys(draft, kind, part[kind])
    if part.get("downwardAPI") is not None:
        items = part["downwardAPI"].get("items") or ()
        return [_shown(item, pod, notices.at(f"items[{n}]")) for n, item in enumerate(items)], []
    token = part.get("serviceAccountToken") or {}
    if token.get("audience") == audience(draft.namespace, draft.name):
        ref = KeyRef(kind="Secret", name=token_name(draft.name), key=TOKEN_FILE)
        return [FileSource(path=inside(token["path"], what="the token"), ref=ref)], []
    return [], []


def _keys(draft: JobDraft, kind: str, source: Mapping[str, Any]) -> tuple[list[FileSource], list[EnvFrom]]:
    """Files of a Secret or ConfigMap: the keys listed, or all; what a framework wrote is at hand."""
    title: Literal["Secret", "ConfigMap"] = "Secret" if kind == "secret" else "ConfigMap"
    name = source.get("secretName") or source.get("name") or ""
    optional = bool(source.get("optional"))
    items = source.get("items") or ()
    written = {
        key: text for (owner, key), text in draft.files.items() if (title, owner) == ("ConfigMap", name)
    }
    if not items and not written:
        return [], [EnvFrom(kind=title, name=name, optional=optional)]
    files = []
    for item in items or [{"key": key, "path": key} for key in written]:
        own = item["key"] in written
        ref = None if own else KeyRef(kind=title, name=name, key=item["key"], optional=optional)
        path = inside(item["path"], what=f"the {title} {name!r}")
        files.append(
            FileSource(path=path, content=written.get(item["key"], ""), ref=ref, mode=item.get("mode"))
        )
    return files, []


def _shown(item: Mapping[str, Any], pod: PodView, notices: Notices) -> FileSource:
    """A file of the downward API. It is not expanded, but for the references that stand in it."""
    if ref := item.get("fieldRef"):
        content = field_value(ref, pod, notices.at("fieldRef"))
        content = content if is_reference(ref) else content.replace("$$", "$")
    else:
        content = resource_value(item["resourceFieldRef"], "", pod, notices.at("resourceFieldRef"))
    path = inside(item["path"], what="the downward API")
    return FileSource(path=path, content=content, mode=item.get("mode"))
