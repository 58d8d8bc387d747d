"""Unsupported fields: accepted, without effect on one host, and therefore warned about.

One table, by type and field, for runtimes and patches alike; the planner applies it to the merged runtime. An
empty value (``tolerations: []``) requests nothing and is not reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args, get_origin

from reconciler.api.field_paths import FieldPath, render
from reconciler.api.models.base import Model
from reconciler.api.models.model_fields import as_model_class, get_fields, unwrap
from reconciler.api.models.older_fields import OLDER_FIELDS
from reconciler.api.models.runtime import TrainingRuntimeSpec

_ONE_HOST: Final = "there is one host, nothing is scheduled onto nodes"
_NO_ACCOUNTS: Final = "there are no service accounts on a container engine"
_NO_DRA: Final = "there is no dynamic resource allocation; ask for devices by limits, as in nvidia.com/gpu: 1"
_NO_CONTROLLER: Final = "no controller here acts on it"
_NO_DRIVER: Final = "there is no storage driver for it; mount it on the host and use hostPath"

_POD: Final = {
    "affinity": _ONE_HOST,
    "automountServiceAccountToken": _NO_ACCOUNTS,
    "enableServiceLinks": "there are no services whose addresses could be injected",
    "ephemeralContainers": "containers for debugging are added to running pods, not in a template",
    "nodeName": _ONE_HOST,
    "nodeSelector": _ONE_HOST,
    "os": "containers run on the host's operating system",
    "overhead": "it is the scheduler's accounting",
    "preemptionPolicy": _ONE_HOST,
    "readinessGates": _NO_CONTROLLER,
    "resourceClaims": _NO_DRA,
    "schedulerName": _ONE_HOST,
    "schedulingGates": _ONE_HOST,
    "schedulingGroup": _ONE_HOST,
    "serviceAccount": _NO_ACCOUNTS,
    "serviceAccountName": _NO_ACCOUNTS,
    "tolerations": _ONE_HOST,
    "topologySpreadConstraints": _ONE_HOST,
}
_CONTAINER: Final = {
    "resizePolicy": "resources are not resized while a container runs",
    "volumeDevices": _NO_DRIVER,
}
_VOLUME: Final = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder csi fc flexVolume flocker gcePersistentDisk "
    "gitRepo glusterfs iscsi nfs photonPersistentDisk portworxVolume quobyte rbd scaleIO storageos "
    "vsphereVolume"
)

#: Type (also of its patches), then field -> why the field has no effect.
UNSUPPORTED_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "Container": _CONTAINER,
    "EmbeddedMetadata": {"finalizers": _NO_CONTROLLER},
    "JobSetSpec": {
        "coordinator": "it is an annotation for controllers; rank 0 leads here",
        "managedBy": _NO_CONTROLLER,
        "suspend": "the TrainJob's own suspend decides",
    },
    "JobSpec": {
        "managedBy": _NO_CONTROLLER,
        "manualSelector": "containers are found by this project's labels",
        "podReplacementPolicy": "a container is replaced once it is gone",
        "selector": "containers are found by this project's labels",
        "suspend": "the TrainJob's own suspend decides",
    },
    "PodSecurityContext": {"windowsOptions": "containers run on Linux"},
    "PodSpec": _POD,
    "ResourceRequirements": {"claims": _NO_DRA},
    "SecurityContext": {"windowsOptions": "containers run on Linux"},
    "VolcanoPodGroupPolicySource": {"networkTopology": _ONE_HOST},
    "Volume": {
        **dict.fromkeys(_VOLUME.split(), _NO_DRIVER),
        "ephemeral": "there is no storage driver for it; use emptyDir or persistentVolumeClaim",
        "image": "image volumes are not mounted here; copy the files in an init container",
    },
    "VolumeProjection": {
        "clusterTrustBundle": "there is no cluster that issues it",
        "podCertificate": "there is no cluster that issues it",
        "serviceAccountToken": _NO_ACCOUNTS,
    },
}
#: Values that request no more than the field's default.
_DEFAULTS: Final = {"schedulerName": ("default-scheduler",)}


def find_unsupported_fields(spec: Mapping[str, Any] | Model) -> list[tuple[str, str]]:
    """Returns path and message of every field in an object's ``spec`` that has no effect on one host.

    Args:
        spec: a model, or the plain data of a runtime's spec.
    """
    return [
        (path, f"has no effect here: {reason}") for path, reason in _find_listed(spec, UNSUPPORTED_FIELDS)
    ]


def find_older_fields(spec: Mapping[str, Any] | Model) -> list[tuple[str, str]]:
    """Returns path and message of every field in an object's ``spec`` that a cluster of today refuses.

    Args:
        spec: a model, or the plain data of a runtime's spec.
    """
    return [
        (path, f"is honoured here, but newer Trainers refuse it: {remedy}")
        for path, remedy in _find_listed(spec, OLDER_FIELDS)
    ]


def _find_listed(
    spec: Mapping[str, Any] | Model, listed: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yields path and text of every field of ``spec`` that the list has and that requests something."""
    data, kind = (spec.as_manifest(), type(spec)) if isinstance(spec, Model) else (spec, TrainingRuntimeSpec)
    for path, text in _find(data, kind, ("spec",), listed):
        yield render(path), text


def _find(
    value: Any, annotation: Any, path: FieldPath, listed: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[FieldPath, str]]:
    annotation = unwrap(annotation)
    model = as_model_class(annotation)
    if model is not None and isinstance(value, Mapping):
        texts = listed.get(model.__name__.removesuffix("Patch"), {})
        annotations = get_fields(model)
        for name, inner in value.items():
            if name in texts and _is_requested(name, inner):
                yield (*path, name), texts[name]
            elif name in annotations:
                yield from _find(inner, annotations[name], (*path, name), listed)
    elif get_origin(annotation) is tuple and isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _find(inner, get_args(annotation)[0], (*path, index), listed)


def _is_requested(name: str, value: Any) -> bool:
    """Returns whether a field's value differs from leaving the field out."""
    return value not in (None, "", [], {}, ()) and value not in _DEFAULTS.get(name, ())
