"""Initializers: what of them goes into the TrainJob, and a runtime of the job's own where that takes one.

Upstream's runtimes for torchtune have steps ``dataset-initializer`` and ``model-initializer``; others have
none, and its admission refuses a job that needs them. The job is then given a TrainingRuntime in the same
file: the one it asked for, with the steps put in, ``/workspace`` shared by all, and the nodes waiting for
them.

``file://`` takes no step and no image: the folder (or file) is mounted read-only at ``/workspace/dataset`` or
``/workspace/model`` of the nodes. It has to be on the machine of the engine.
"""

from __future__ import annotations

import copy
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from reconciler.client.client_errors import InvalidRequest
from reconciler.client.constants import constants
from reconciler.client.runtime_objects import containers_of, replicated_jobs
from reconciler.client.types.initializers import BaseInitializer, DataCacheInitializer, Initializer

#: Upstream's admission asks for a mount of this name.
VOLUME: Final = "initializer"
SIZE: Final = "20Gi"
#: What becomes no variable, and what has another name as a variable.
_NO_VARIABLE: Final = frozenset({"storage_uri", "num_data_nodes", "metadata_loc"})
_SECRETS: Final = frozenset({"access_token", "access_key_id", "secret_access_key"})


@dataclass(frozen=True, kw_only=True)
class Images:
    """For steps that the runtime does not have.

    Attributes:
        timeout: seconds that such a step may take.
    """

    dataset: str
    model: str
    timeout: int


@dataclass(frozen=True, kw_only=True)
class Initializing:
    """What initializers come to.

    Attributes:
        spec: ``spec.initializer`` of the TrainJob.
        runtime: in place of the job's, when it has to be another.
        secret: the manifest holds a token or a key.
    """

    spec: dict[str, Any] = field(default_factory=dict)
    runtime: dict[str, Any] | None = None
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One of the two."""

    name: str
    step: str
    source: BaseInitializer
    path: str
    image: str

    @property
    def local(self) -> str:
        """The path of a ``file://`` URI; "" for others."""
        parts = urlsplit(self.source.storage_uri)
        if parts.scheme != "file":
            return ""
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise InvalidRequest(
                f"{self.source.storage_uri} names no file of this machine.",
                remedy="Write file:///absolute/path, with three slashes.",
            )
        return unquote(parts.path).rstrip("/") or "/"


def initialize(
    initializer: Initializer | None, runtime: Mapping[str, Any], *, job: str, namespace: str, images: Images
) -> Initializing:
    """What the initializers make of a job and its runtime.

    Args:
        initializer: as given by the caller.
        runtime: the raw document of the runtime that was asked for.
        job: its name.
        namespace: of the job.
        images: for generated steps.

    Raises:
        InvalidRequest: an initializer is of no known type, or needs a runtime that has it.
    """
    parts = list(_parts(initializer, images))
    if not parts:
        return Initializing()
    there = {str(step.get("name")) for step in replicated_jobs(runtime)}
    changed = copy.deepcopy(dict(runtime))
    spec: dict[str, Any] = {}
    different = False
    for part in parts:
        if part.local:
            _drop_step(changed, part.step)
            _mount_local(changed, part)
            different = True
            continue
        spec[part.name] = {"storageUri": part.source.storage_uri, **_env_of(part.source)}
        if part.step not in there:
            _add_step(changed, part, images.timeout)
            different = True
    own = _own_runtime(changed, job=job, namespace=namespace) if different else None
    return Initializing(spec=spec, runtime=own, secret=any(_has_secret(part.source) for part in parts))


def _parts(initializer: Initializer | None, images: Images) -> Iterator[_Part]:
    if initializer is None:
        return
    for name, source, path, image in (
        ("dataset", initializer.dataset, constants.DATASET_PATH, images.dataset),
        ("model", initializer.model, constants.MODEL_PATH, images.model),
    ):
        if source is None:
            continue
        if not isinstance(source, BaseInitializer):
            raise InvalidRequest(
                f"{name.capitalize()} initializer type is invalid: {type(source).__name__}.",
                remedy=f"Use HuggingFace{name.capitalize()}Initializer or S3{name.capitalize()}Initializer.",
            )
        yield _Part(name=name, step=f"{name}-initializer", source=source, path=path, image=image)


def _env_of(source: BaseInitializer) -> dict[str, Any]:
    """Optional fields as variables in capitals, lists with commas; as upstream's initializers read them."""
    env: list[dict[str, str]] = []
    if isinstance(source, DataCacheInitializer):
        env += [
            {"name": "CLUSTER_SIZE", "value": str(source.num_data_nodes + 1)},
            {"name": "METADATA_LOC", "value": source.metadata_loc},
        ]
    for each in fields(source):
        value = getattr(source, each.name)
        if each.name in _NO_VARIABLE or value is None:
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        env.append({"name": each.name.upper(), "value": text})
    return {"env": env} if env else {}


def _has_secret(source: BaseInitializer) -> bool:
    return any(getattr(source, each.name) for each in fields(source) if each.name in _SECRETS)


def _own_runtime(changed: dict[str, Any], *, job: str, namespace: str) -> dict[str, Any]:
    metadata = changed.get("metadata") or {}
    return {
        "apiVersion": constants.API_VERSION,
        "kind": "TrainingRuntime",
        "metadata": {
            "name": _own_name(str(metadata.get("name", "")), job),
            "namespace": namespace,
            "labels": dict(metadata.get("labels") or {}),
        },
        "spec": changed["spec"],
    }


def _own_name(runtime: str, job: str) -> str:
    """A name of the job's own. Upstream reads torchtune's model from the runtime's, ``any-llama3.2-1b``."""
    head, *model = runtime.split("-")
    return f"{head}.{job.replace('-', '.')}-{'-'.join(model)}" if len(model) == 2 else f"{job}-runtime"


def _add_step(runtime: dict[str, Any], part: _Part, timeout: int) -> None:
    if isinstance(part.source, DataCacheInitializer):
        raise InvalidRequest(
            f"A data cache takes a runtime with a step {part.step}; "
            f"{(runtime.get('metadata') or {}).get('name')} has none.",
            remedy="Use one such as torch-distributed-with-cache.",
        )
    _share_workspace(runtime)
    jobset = runtime["spec"]["template"]["spec"]
    for step in replicated_jobs(runtime):
        if not str(step.get("name")).endswith("-initializer"):
            step.setdefault("dependsOn", []).append({"name": part.step, "status": "Complete"})
    container = {
        "name": part.step,
        "image": part.image,
        "command": ["bash", "-c", f"python -m pkg.initializers.{part.name}"],
        "workingDir": "/app",
        "env": [{"name": "OUTPUT_PATH", "value": part.path}],
        "volumeMounts": [{"name": VOLUME, "mountPath": constants.WORKSPACE_PATH}],
    }
    pod = {"restartPolicy": "Never", "containers": [container]}
    step = {
        "name": part.step,
        "template": {
            "metadata": {"labels": {constants.TRAINJOB_ANCESTOR_LABEL: part.step}},
            # As upstream's container backend: one try, within a time limit.
            "spec": {"backoffLimit": 0, "activeDeadlineSeconds": timeout, "template": {"spec": pod}},
        },
    }
    jobset["replicatedJobs"].insert(0, step)


def _share_workspace(runtime: dict[str, Any]) -> None:
    """A volume for all steps, mounted in the nodes; once."""
    jobset = runtime["spec"]["template"]["spec"]
    policies = jobset.setdefault("volumeClaimPolicies", [])
    claims = {t.get("metadata", {}).get("name") for policy in policies for t in policy.get("templates") or ()}
    if VOLUME not in claims:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": SIZE}}}
        policies.append({"templates": [{"metadata": {"name": VOLUME}, "spec": claim}]})
    for container in _node_containers(runtime):
        mounts = container.setdefault("volumeMounts", [])
        if not any(mount.get("mountPath") == constants.WORKSPACE_PATH for mount in mounts):
            mounts.append({"name": VOLUME, "mountPath": constants.WORKSPACE_PATH})


def _drop_step(runtime: dict[str, Any], name: str) -> None:
    """Take a step out: nothing has to be fetched. Who waited for it, waits no more."""
    jobset = runtime["spec"]["template"]["spec"]
    jobset["replicatedJobs"] = [s for s in replicated_jobs(runtime) if s.get("name") != name]
    for step in jobset["replicatedJobs"]:
        waits = [entry for entry in step.get("dependsOn") or () if entry.get("name") != name]
        step.pop("dependsOn", None)
        if waits:
            step["dependsOn"] = waits


def _mount_local(runtime: dict[str, Any], part: _Part) -> None:
    """Mount the folder (a file: under its own name in it) read-only into the nodes."""
    path = part.local
    name = f"{part.name}-files"
    if not Path(path).exists():
        raise InvalidRequest(f"{part.source.storage_uri}: there is no file or folder {path}.")
    target = posixpath.join(part.path, posixpath.basename(path)) if Path(path).is_file() else part.path
    for step in replicated_jobs(runtime):
        containers = [c for c in containers_of(step) if c.get("name") == constants.NODE]
        if not containers:
            continue
        pod = step["template"]["spec"]["template"]["spec"]
        volumes = [v for v in pod.get("volumes") or () if v.get("name") != name]
        pod["volumes"] = [*volumes, {"name": name, "hostPath": {"path": path}}]
        for container in containers:
            mount = {"name": name, "mountPath": target, "readOnly": True}
            container.setdefault("volumeMounts", []).append(mount)


def _node_containers(runtime: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for step in replicated_jobs(runtime):
        yield from (c for c in containers_of(step) if c.get("name") == constants.NODE)
