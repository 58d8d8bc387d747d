"""Builds ``spec.initializer`` of a TrainJob, and a runtime of the job's own where initializers need one.

Upstream's runtimes for torchtune have steps ``dataset-initializer`` and ``model-initializer``; others have
none, and its admission rejects a job that needs them. Such a job gets a TrainingRuntime in the same file: the
one that was asked for, with the steps added, ``/workspace`` shared by all, and the nodes waiting for them.

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

from reconciler.api.step_names import INITIALIZER_VOLUME, NODE
from reconciler.client.backends.container.types import ContainerBackendConfig
from reconciler.client.client_errors import InvalidRequest
from reconciler.client.constants import constants
from reconciler.client.runtime_objects import replicated_jobs, step_containers
from reconciler.client.types.types import BaseInitializer, DataCacheInitializer, Initializer
from reconciler.common.mappings import mapping_at

WORKSPACE_SIZE: Final = "20Gi"
#: Fields that become no variable, or a variable of another name.
_NO_VARIABLE: Final = frozenset({"storage_uri", "num_data_nodes", "metadata_loc"})
_SECRET_FIELDS: Final = frozenset({"access_token", "access_key_id", "secret_access_key"})


@dataclass(frozen=True, kw_only=True)
class InitializerSpec:
    """What the initializers add to a manifest.

    Attributes:
        spec: ``spec.initializer`` of the TrainJob.
        runtime: in place of the one that was asked for; None: that one serves.
        has_secrets: the manifest holds a token or a key.
    """

    spec: dict[str, Any] = field(default_factory=dict)
    runtime: dict[str, Any] | None = None
    has_secrets: bool = False


@dataclass(frozen=True, kw_only=True)
class _Source:
    """The dataset or the model.

    Attributes:
        name: ``dataset`` or ``model``.
        path: where the nodes find it.
    """

    name: str
    step: str
    initializer: BaseInitializer
    path: str
    image: str

    @property
    def local_path(self) -> str:
        """The path of a ``file://`` URI; "" for others."""
        parts = urlsplit(self.initializer.storage_uri)
        if parts.scheme != "file":
            return ""
        if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
            raise InvalidRequest(
                f"{self.initializer.storage_uri} names no file of this machine.",
                remedy="Write file:///absolute/path, with three slashes.",
            )
        return unquote(parts.path).rstrip("/") or "/"


def build_initializer_spec(
    initializer: Initializer | None,
    runtime: Mapping[str, Any],
    *,
    job: str,
    namespace: str,
    config: ContainerBackendConfig,
) -> InitializerSpec:
    """Returns what the initializers add to the manifest of a job.

    Args:
        initializer: as given by the caller.
        runtime: the raw document of the runtime that was asked for.
        job: its name.
        namespace: of the job.
        config: has images and time limit of added steps.

    Raises:
        InvalidRequest: an initializer is of no known type, or needs a runtime that has it.
    """
    sources = list(_sources(initializer, config))
    if not sources:
        return InitializerSpec()
    existing = {str(step.get("name")) for step in replicated_jobs(runtime)}
    changed = copy.deepcopy(dict(runtime))
    spec: dict[str, Any] = {}
    is_changed = False
    for source in sources:
        if source.local_path:
            _drop_step(changed, source.step)
            _mount_local(changed, source)
            is_changed = True
            continue
        spec[source.name] = {
            "storageUri": source.initializer.storage_uri,
            **_env_field(source.initializer),
        }
        if source.step not in existing:
            _add_step(changed, source, config.initializer_timeout)
            is_changed = True
    own = _own_runtime(changed, job=job, namespace=namespace) if is_changed else None
    return InitializerSpec(
        spec=spec, runtime=own, has_secrets=any(_has_secrets(s.initializer) for s in sources)
    )


def _sources(initializer: Initializer | None, config: ContainerBackendConfig) -> Iterator[_Source]:
    if initializer is None:
        return
    for name, each, path, image in (
        ("dataset", initializer.dataset, constants.DATASET_PATH, config.dataset_initializer_image),
        ("model", initializer.model, constants.MODEL_PATH, config.model_initializer_image),
    ):
        if each is None:
            continue
        if not isinstance(each, BaseInitializer):
            raise InvalidRequest(
                f"{name.capitalize()} initializer type is invalid: {type(each).__name__}.",
                remedy=f"Use HuggingFace{name.capitalize()}Initializer or S3{name.capitalize()}Initializer.",
            )
        yield _Source(name=name, step=f"{name}-initializer", initializer=each, path=path, image=image)


def _env_field(initializer: BaseInitializer) -> dict[str, Any]:
    """``env``: fields as variables in capitals, lists with commas, as upstream's initializers read them."""
    env: list[dict[str, str]] = []
    if isinstance(initializer, DataCacheInitializer):
        env += [
            {"name": "CLUSTER_SIZE", "value": str(initializer.num_data_nodes + 1)},
            {"name": "METADATA_LOC", "value": initializer.metadata_loc},
        ]
    for each in fields(initializer):
        value = getattr(initializer, each.name)
        if each.name in _NO_VARIABLE or value is None:
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        env.append({"name": each.name.upper(), "value": text})
    return {"env": env} if env else {}


def _has_secrets(initializer: BaseInitializer) -> bool:
    return any(getattr(initializer, each.name) for each in fields(initializer) if each.name in _SECRET_FIELDS)


def _own_runtime(changed: dict[str, Any], *, job: str, namespace: str) -> dict[str, Any]:
    metadata = mapping_at(changed, "metadata")
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


def _add_step(runtime: dict[str, Any], source: _Source, timeout: int) -> None:
    if isinstance(source.initializer, DataCacheInitializer):
        raise InvalidRequest(
            f"A data cache takes a runtime with a step {source.step}; "
            f"{mapping_at(runtime, 'metadata').get('name')} has none.",
            remedy="Use one such as torch-distributed-with-cache.",
        )
    _share_workspace(runtime)
    for step in replicated_jobs(runtime):
        if not str(step.get("name")).endswith("-initializer"):
            step.setdefault("dependsOn", []).append({"name": source.step, "status": "Complete"})
    container = {
        "name": source.step,
        "image": source.image,
        "command": ["bash", "-c", f"python -m pkg.initializers.{source.name}"],
        "workingDir": "/app",
        "env": [{"name": "OUTPUT_PATH", "value": source.path}],
        "volumeMounts": [{"name": INITIALIZER_VOLUME, "mountPath": constants.WORKSPACE_PATH}],
    }
    pod = {"restartPolicy": "Never", "containers": [container]}
    step = {
        "name": source.step,
        "template": {
            "metadata": {"labels": {constants.TRAINJOB_ANCESTOR_LABEL: source.step}},
            # As upstream's container backend: one try, within a time limit.
            "spec": {"backoffLimit": 0, "activeDeadlineSeconds": timeout, "template": {"spec": pod}},
        },
    }
    _jobset_spec(runtime)["replicatedJobs"].insert(0, step)


def _share_workspace(runtime: dict[str, Any]) -> None:
    """Adds a volume for all steps, mounted in the nodes; once."""
    policies = _jobset_spec(runtime).setdefault("volumeClaimPolicies", [])
    claims = {t.get("metadata", {}).get("name") for policy in policies for t in policy.get("templates") or ()}
    if INITIALIZER_VOLUME not in claims:
        claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": WORKSPACE_SIZE}}}
        policies.append({"templates": [{"metadata": {"name": INITIALIZER_VOLUME}, "spec": claim}]})
    for step in replicated_jobs(runtime):
        for container in _node_containers(step):
            mounts = container.setdefault("volumeMounts", [])
            if not any(mount.get("mountPath") == constants.WORKSPACE_PATH for mount in mounts):
                mounts.append({"name": INITIALIZER_VOLUME, "mountPath": constants.WORKSPACE_PATH})


def _drop_step(runtime: dict[str, Any], name: str) -> None:
    """Removes a step that has nothing to fetch, and the dependencies on it."""
    steps = [step for step in replicated_jobs(runtime) if step.get("name") != name]
    _jobset_spec(runtime)["replicatedJobs"] = steps
    for step in steps:
        remaining = [entry for entry in step.get("dependsOn") or () if entry.get("name") != name]
        step.pop("dependsOn", None)
        if remaining:
            step["dependsOn"] = remaining


def _mount_local(runtime: dict[str, Any], source: _Source) -> None:
    """Mounts the folder (a file: under its own name in it) read-only into the nodes."""
    path = source.local_path
    name = f"{source.name}-files"
    if not Path(path).exists():
        raise InvalidRequest(f"{source.initializer.storage_uri}: there is no file or folder {path}.")
    target = posixpath.join(source.path, posixpath.basename(path)) if Path(path).is_file() else source.path
    for step in replicated_jobs(runtime):
        containers = _node_containers(step)
        if not containers:
            continue
        pod = step["template"]["spec"]["template"]["spec"]
        volumes = [v for v in pod.get("volumes") or () if v.get("name") != name]
        pod["volumes"] = [*volumes, {"name": name, "hostPath": {"path": path}}]
        for container in containers:
            mount = {"name": name, "mountPath": target, "readOnly": True}
            container.setdefault("volumeMounts", []).append(mount)


def _jobset_spec(runtime: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = runtime["spec"]["template"]["spec"]
    return spec


def _node_containers(step: dict[str, Any]) -> list[dict[str, Any]]:
    return [container for container in step_containers(step) if container.get("name") == NODE]
