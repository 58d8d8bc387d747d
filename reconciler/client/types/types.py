"""Arguments and results of the client: the dataclasses of ``kubeflow.trainer.types.types``.

Fields, their order and defaults are upstream's, so that code for the one works with the other; additional
fields come last and have defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from reconciler.client.constants import constants
from reconciler.client.types.initializers import (
    BaseInitializer,
    DataCacheInitializer,
    HuggingFaceDatasetInitializer,
    HuggingFaceModelInitializer,
    Initializer,
    S3DatasetInitializer,
    S3ModelInitializer,
)
from reconciler.client.types.torchtune import (
    DataFormat,
    DataType,
    LoraConfig,
    Loss,
    TorchTuneConfig,
    TorchTuneInstructDataset,
)

__all__ = [
    "TORCH_TUNE",
    "BaseInitializer",
    "BuiltinTrainer",
    "CustomTrainer",
    "CustomTrainerContainer",
    "DataCacheInitializer",
    "DataFormat",
    "DataType",
    "Event",
    "HuggingFaceDatasetInitializer",
    "HuggingFaceModelInitializer",
    "Initializer",
    "LoraConfig",
    "Loss",
    "Runtime",
    "RuntimeKind",
    "RuntimeTrainer",
    "S3DatasetInitializer",
    "S3ModelInitializer",
    "Step",
    "TorchTuneConfig",
    "TorchTuneInstructDataset",
    "TrainJob",
    "TrainJobTemplate",
    "TrainerType",
]

TORCH_TUNE = "torchtune"


@dataclass
class CustomTrainer:
    """Trains by a self-contained function.

    Args:
        func: imports what it uses inside itself; it is sent as source.
        func_args: its keyword arguments; plain data that can be written as a literal.
        image: in place of the runtime's.
        packages_to_install: for pip, before the function runs.
        pip_index_urls: the first is the index, the others are extra ones.
        num_nodes: containers to train on.
        resources_per_node: ``{"gpu": 4, "cpu": 5, "memory": "10G"}``, or ``{"mig-1g.5gb": 1}``.
        env: variables of every node.
    """

    func: Callable[..., Any]
    func_args: dict[str, Any] | None = None
    image: str | None = None
    packages_to_install: list[str] | None = None
    pip_index_urls: list[str] = field(default_factory=lambda: list(constants.DEFAULT_PIP_INDEX_URLS))
    num_nodes: int | None = None
    resources_per_node: dict[str, Any] | None = None
    env: dict[str, str] | None = None


@dataclass
class CustomTrainerContainer:
    """Trains by an image's own command.

    Args:
        image: to run.
        num_nodes: containers to train on.
        resources_per_node: see :class:`CustomTrainer`.
        env: variables of every node.
    """

    image: str
    num_nodes: int | None = None
    resources_per_node: dict[str, Any] | None = None
    env: dict[str, str] | None = None


@dataclass
class BuiltinTrainer:
    """Trains by the runtime's own trainer, torchtune, with parameters."""

    config: TorchTuneConfig


class TrainerType(Enum):
    """Whether a runtime runs the user's code, or its own."""

    CUSTOM_TRAINER = "CustomTrainer"
    BUILTIN_TRAINER = "BuiltinTrainer"


class RuntimeKind(Enum):
    """Whether a runtime serves all namespaces, or one."""

    CLUSTER_TRAINING_RUNTIME = "ClusterTrainingRuntime"
    TRAINING_RUNTIME = "TrainingRuntime"


@dataclass
class RuntimeTrainer:
    """The part of a runtime that trains.

    Attributes:
        framework: value of the label ``trainer.kubeflow.org/framework``.
        device: ``gpu``, ``cpu``, ...; Unknown where the runtime asks for none.
        device_count: on all nodes together.
    """

    trainer_type: TrainerType
    framework: str
    image: str
    num_nodes: int = 1
    device: str = constants.UNKNOWN
    device_count: str = constants.UNKNOWN
    __command: tuple[str, ...] = field(init=False, repr=False, default=constants.DEFAULT_COMMAND)

    @property
    def command(self) -> tuple[str, ...]:
        """Template of the command that runs a function."""
        return self.__command

    def set_command(self, command: tuple[str, ...]) -> None:
        """Replaces the template."""
        self.__command = command


@dataclass
class Runtime:
    """A (Cluster)TrainingRuntime."""

    name: str
    trainer: RuntimeTrainer
    kind: RuntimeKind
    pretrained_model: str | None = None


@dataclass
class Step:
    """One container of a job.

    Attributes:
        name: ``node-0``, ``dataset-initializer``.
        status: Created, Running, Complete or Failed.
        pod_name: the container's name on the engine.
    """

    name: str
    status: str | None
    pod_name: str
    device: str = constants.UNKNOWN
    device_count: str = constants.UNKNOWN


@dataclass
class TrainJob:
    """A job as it is now.

    Attributes:
        status: Created, Running, Complete or Failed.
        phase: the same in more detail (Queued, Pulling, Restarting, ...); not in upstream's type.
        message: what the job waits for, or how it ended; not in upstream's type.
        progress: the training's last report (``progressPercentage``, ``estimatedRemainingSeconds``,
            ``metrics``); not in upstream's type.
    """

    name: str
    runtime: Runtime
    steps: list[Step]
    num_nodes: int
    creation_timestamp: datetime
    status: str = constants.UNKNOWN
    phase: str = ""
    message: str = ""
    progress: Mapping[str, Any] | None = None


@dataclass
class Event:
    """An event of a job."""

    involved_object_kind: str
    involved_object_name: str
    message: str
    reason: str
    event_time: datetime


@dataclass
class TrainJobTemplate:
    """Arguments of ``train()`` in one object: ``client.train(**template)``."""

    trainer: CustomTrainer
    runtime: str | Runtime | None = None
    initializer: Initializer | None = None

    def keys(self) -> list[str]:
        """Field names, for ``**``."""
        return ["trainer", "runtime", "initializer"]

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)
