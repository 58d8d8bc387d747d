"""Builds the arguments of ``tune run`` from a :class:`TorchTuneConfig`, as the SDK does."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import asdict
from enum import Enum
from typing import Any

from reconciler.client.client_errors import InvalidRequest
from reconciler.client.constants import constants
from reconciler.client.types.types import (
    DataFormat,
    DataType,
    HuggingFaceDatasetInitializer,
    Initializer,
    LoraConfig,
    Loss,
    TorchTuneConfig,
    TorchTuneInstructDataset,
)


def build_torchtune_arguments(config: TorchTuneConfig, initializer: Initializer | None) -> list[str]:
    """Returns ``key=value`` arguments; fields that are None are left to the runtime.

    Raises:
        InvalidRequest: a value is of another type.
    """
    arguments = [*_training_arguments(config), *_dataset_arguments(initializer)]
    if config.peft_config:
        arguments += _lora_arguments(config.peft_config)
    if config.dataset_preprocess_config:
        arguments += _instruct_dataset_arguments(config.dataset_preprocess_config)
    return arguments


def _training_arguments(config: TorchTuneConfig) -> Iterator[str]:
    if config.dtype:
        yield f"dtype={_enum_value('dtype', config.dtype, DataType)}"
    if config.batch_size:
        yield f"batch_size={config.batch_size}"
    if config.epochs:
        yield f"epochs={config.epochs}"
    if config.loss:
        yield f"loss={_enum_value('loss', config.loss, Loss)}"


def _dataset_arguments(initializer: Initializer | None) -> Iterator[str]:
    """Place of the dataset's files once the initializer has fetched them."""
    dataset = initializer.dataset if initializer is not None else None
    if not isinstance(dataset, HuggingFaceDatasetInitializer):
        return
    if dataset.storage_uri.startswith("file://"):
        yield f"dataset.data_dir={constants.DATASET_PATH}"
        return
    _, *path = dataset.storage_uri.removeprefix("hf://").strip("/").split("/")[1:] or [""]
    relative = "/".join(path) or "."
    key = "data_files" if relative != "." and "." in relative else "data_dir"
    yield f"dataset.{key}={posixpath.join(constants.DATASET_PATH, relative)}"


def _lora_arguments(config: LoraConfig) -> Iterator[str]:
    if not isinstance(config, LoraConfig):
        raise InvalidRequest(f"peft_config={config!r} is no LoraConfig.", remedy="Pass LoraConfig(...).")
    values = asdict(config)
    modules = values.pop("lora_attn_modules")
    yield from (f"model.{name}={value}" for name, value in values.items() if value is not None)
    if modules:
        yield f"model.lora_attn_modules=[{','.join(modules)}]"


def _instruct_dataset_arguments(config: TorchTuneInstructDataset) -> Iterator[str]:
    if not isinstance(config, TorchTuneInstructDataset):
        raise InvalidRequest(
            f"dataset_preprocess_config={config!r} is no TorchTuneInstructDataset.",
            remedy="Pass TorchTuneInstructDataset(...).",
        )
    yield f"dataset={constants.TORCH_TUNE_INSTRUCT_DATASET}"
    if config.source:
        yield f"dataset.source={_enum_value('source', config.source, DataFormat)}"
    if config.split:
        yield f"dataset.split={config.split}"
    if config.train_on_input is not None:
        yield f"dataset.train_on_input={config.train_on_input}"
    if config.new_system_prompt:
        yield f"dataset.new_system_prompt={config.new_system_prompt}"
    if config.column_map:
        yield f"dataset.column_map={config.column_map}"


def _enum_value(name: str, value: Any, kind: type[Enum]) -> str:
    if not isinstance(value, kind):
        members = ", ".join(f"{kind.__name__}.{member}" for member in kind.__members__)
        raise InvalidRequest(f"{name}={value!r} is no {kind.__name__}.", remedy=f"Use one of {members}.")
    return str(value.value)
