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


class Loss(Enum):
    """Loss functions."""

    CEWithChunkedOutputLoss = "torchtune.modules.loss.CEWithChunkedOutputLoss"


class DataType(Enum):
    """Data types of the model's and the optimizer's parameters."""

    BF16 = "bf16"
    FP32 = "fp32"


class DataFormat(Enum):
    """Formats of a dataset's files."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"
    TEXT = "text"
    XML = "xml"


@dataclass
class TorchTuneInstructDataset:
    """A dataset of instructions and answers.

    Args:
        source: format of its files.
        split: a part of it, ``train[:10%]``.
        train_on_input: train on the prompt as well.
        new_system_prompt: put before each prompt.
        column_map: its columns for ``input`` and ``output``.
    """

    source: DataFormat | None = None
    split: str | None = None
    train_on_input: bool | None = None
    new_system_prompt: str | None = None
    column_map: dict[str, str] | None = None


@dataclass
class LoraConfig:
    """LoRA, QLoRA and DoRA."""

    apply_lora_to_mlp: bool | None = None
    apply_lora_to_output: bool | None = None
    lora_attn_modules: list[str] = field(default_factory=lambda: ["q_proj", "v_proj", "output_proj"])
    lora_rank: int | None = None
    lora_alpha: int | None = None
    lora_dropout: float | None = None
    quantize_base: bool | None = None
    use_dora: bool | None = None


@dataclass
class TorchTuneConfig:
    """Fine-tuning by torchtune; fields that are None keep the runtime's values.

    Args:
        batch_size: samples before the weights are updated.
        epochs: passes over the dataset.
        num_nodes: containers to train on.
        resources_per_node: ``{"gpu": 4, "memory": "10G"}``.
    """

    dtype: DataType | None = None
    batch_size: int | None = None
    epochs: int | None = None
    loss: Loss | None = None
    num_nodes: int | None = None
    peft_config: LoraConfig | None = None
    dataset_preprocess_config: TorchTuneInstructDataset | None = None
    resources_per_node: dict[str, Any] | None = None


def _default_patterns() -> list[str]:
    return list(constants.INITIALIZER_DEFAULT_IGNORE_PATTERNS)


@dataclass
class BaseInitializer:
    """Base of all initializers; ``storage_uri`` is the address of the data."""

    storage_uri: str


@dataclass
class HuggingFaceDatasetInitializer(BaseInitializer):
    """A dataset of the Hugging Face hub, or a folder of this machine (``file:///data/mnist``)."""

    ignore_patterns: list[str] | None = None
    access_token: str | None = None


@dataclass
class _S3Initializer(BaseInitializer):
    ignore_patterns: list[str] | None = None
    endpoint: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    region: str | None = None
    role_arn: str | None = None

    def __post_init__(self) -> None:
        if not self.storage_uri.startswith("s3://"):
            raise ValueError(f"storage_uri must start with 's3://', got {self.storage_uri}")


@dataclass
class S3DatasetInitializer(_S3Initializer):
    """A dataset in S3-compatible storage, ``s3://bucket/path``."""


@dataclass
class DataCacheInitializer(BaseInitializer):
    """A distributed data cache, ``cache://SCHEMA/TABLE``; needs a runtime that has one."""

    metadata_loc: str
    num_data_nodes: int
    head_cpu: str | None = None
    head_mem: str | None = None
    worker_cpu: str | None = None
    worker_mem: str | None = None
    iam_role: str | None = None

    def __post_init__(self) -> None:
        if self.num_data_nodes <= 1:
            raise ValueError(f"num_data_nodes must be greater than 1, got {self.num_data_nodes}")
        if not self.storage_uri.startswith("cache://"):
            raise ValueError(f"storage_uri must start with 'cache://', got {self.storage_uri}")
        if len(self.storage_uri.removeprefix("cache://").split("/")) != 2:
            raise ValueError(
                f"storage_uri must be in format 'cache://<SCHEMA_NAME>/<TABLE_NAME>', got {self.storage_uri}"
            )


@dataclass
class HuggingFaceModelInitializer(BaseInitializer):
    """A model of the Hugging Face hub, or a folder of this machine (``file:///models/llama``)."""

    ignore_patterns: list[str] | None = field(default_factory=_default_patterns)
    access_token: str | None = None


@dataclass
class S3ModelInitializer(_S3Initializer):
    """A model in S3-compatible storage, ``s3://bucket/path``."""

    ignore_patterns: list[str] | None = field(default_factory=_default_patterns)


@dataclass
class Initializer:
    """Dataset and model to fetch before the nodes start."""

    dataset: HuggingFaceDatasetInitializer | S3DatasetInitializer | DataCacheInitializer | None = None
    model: HuggingFaceModelInitializer | S3ModelInitializer | None = None


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
