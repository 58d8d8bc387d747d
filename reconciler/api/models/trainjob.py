"""TrainJob: the training job and its sections."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field

from reconciler.api.models.base import IMMUTABLE, Flag, Int32, Int64, ListMap, Model, Rule, at_least_one
from reconciler.api.models.core.container import ResourceRequirements
from reconciler.api.models.core.environment import EnvVar
from reconciler.api.models.metadata import LocalObjectReference, ObjectMeta
from reconciler.api.models.runtime_patch import RuntimePatch
from reconciler.api.models.status import TrainJobStatus

_TRAINJOB_CONTROLLER: Final = "trainer.kubeflow.org/trainjob-controller"
_MANAGERS: Final = (_TRAINJOB_CONTROLLER, "kueue.x-k8s.io/multikueue")

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
StorageUri = Annotated[
    str,
    Field(max_length=2048),
    Rule(
        "self == '' || self.matches('^[A-Za-z][A-Za-z0-9+.-]*://.+$')",
        "storageUri may be empty, or it must be a valid URI (scheme://...)",
        lambda uri: not uri or _URI.fullmatch(uri) is not None,
    ),
]


class RuntimeRef(Model):
    """The runtime that the job uses."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    api_group: Annotated[str, Field(max_length=253)] = "trainer.kubeflow.org"
    kind: Annotated[str, Field(max_length=253)] = "ClusterTrainingRuntime"


class DatasetInitializer(Model):
    """Where the dataset comes from."""

    env: Annotated[tuple[EnvVar, ...], Field(max_length=128), ListMap("name")] = ()
    secret_ref: LocalObjectReference | None = None
    storage_uri: StorageUri | None = None


class ModelInitializer(Model):
    """Where the model comes from."""

    env: Annotated[tuple[EnvVar, ...], Field(max_length=128), ListMap("name")] = ()
    secret_ref: LocalObjectReference | None = None
    storage_uri: StorageUri | None = None


class Initializer(Model):
    """Dataset and model fetched before the training."""

    dataset: DatasetInitializer | None = None
    model: ModelInitializer | None = None


class Trainer(Model):
    """What runs on every node, and how many nodes."""

    args: Annotated[tuple[Annotated[str, Field(max_length=1048576)], ...], Field(max_length=128)] = ()
    command: Annotated[tuple[Annotated[str, Field(max_length=1048576)], ...], Field(max_length=128)] = ()
    env: Annotated[tuple[EnvVar, ...], Field(max_length=128), ListMap("name")] = ()
    image: Annotated[str, Field(max_length=500)] | None = None
    num_nodes: Annotated[Int32, Field(ge=0)] | None = None
    num_proc_per_node: (
        Annotated[Int32, at_least_one("numProcPerNode must be greater than or equal to 1")] | None
    ) = None
    resources_per_node: ResourceRequirements | None = None


class TrainJobSpec(Model):
    """The desired state of a training job."""

    runtime_ref: Annotated[RuntimeRef, IMMUTABLE]
    active_deadline_seconds: Annotated[Annotated[Int64, Field(ge=1)] | None, IMMUTABLE] = None
    initializer: Annotated[Initializer | None, IMMUTABLE] = None
    managed_by: Annotated[
        Annotated[
            str,
            Field(max_length=253),
            Rule(
                "self in ['trainer.kubeflow.org/trainjob-controller', 'kueue.x-k8s.io/multikueue']",
                "ManagedBy must be trainer.kubeflow.org/trainjob-controller "
                "or kueue.x-k8s.io/multikueue if set",
                lambda manager: manager in _MANAGERS,
            ),
        ],
        IMMUTABLE,
    ] = _TRAINJOB_CONTROLLER
    runtime_patches: Annotated[tuple[RuntimePatch, ...], Field(max_length=16), ListMap("manager")] = ()
    suspend: Flag = False
    trainer: Annotated[Trainer | None, IMMUTABLE] = None


class TrainJob(Model):
    """A training job: its runtime, and the differences from it."""

    # Both are checked in reconciler.api.loading.decoder, which reports them together with the other faults.
    cel_rules = (
        Rule(
            "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
            "metadata.name must match RFC 1035 DNS label format",
        ),
        Rule(
            "size(self.metadata.name) <= 63",
            "metadata.name must be no more than 63 characters",
        ),
    )

    api_version: Literal["trainer.kubeflow.org/v1alpha1"]
    kind: Literal["TrainJob"]
    metadata: ObjectMeta
    spec: TrainJobSpec
    status: TrainJobStatus | None = None
