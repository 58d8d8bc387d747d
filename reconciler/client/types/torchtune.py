"""Parameters of torchtune, the built-in trainer, under upstream's names."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


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
