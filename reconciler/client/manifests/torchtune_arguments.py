"""Arguments of ``tune run`` from a :class:`TorchTuneConfig`, as the SDK writes them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from reconciler.client.client_errors import InvalidRequest
from reconciler.client.constants import constants
from reconciler.client.types.initializers import HuggingFaceDatasetInitializer, Initializer
from reconciler.client.types.torchtune import (
    DataFormat,
    DataType,
    LoraConfig,
    Loss,
    TorchTuneConfig,
    TorchTuneInstructDataset,
)

_LORA = (
    "apply_lora_to_mlp",
    "apply_lora_to_output",
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "quantize_base",
    "use_dora",
)


def torchtune_arguments(config: TorchTuneConfig, initializer: Initializer | None) -> list[str]:
    """``key=value`` arguments; what is None is left to the runtime.

    Raises:
        InvalidRequest: a value is none of its kind.
    """
    return [
        *_basic(config),
        *_dataset(initializer),
        *(_lora(config.peft_config) if config.peft_config else ()),
        *(_instructions(config.dataset_preprocess_config) if config.dataset_preprocess_config else ()),
    ]


def _basic(config: TorchTuneConfig) -> Iterator[str]:
    if config.dtype:
        if not isinstance(config.dtype, DataType):
            raise InvalidRequest(
                f"dtype={config.dtype!r} is no DataType.", remedy="Use DataType.BF16 or FP32."
            )
        yield f"dtype={config.dtype.value}"
    if config.batch_size:
        yield f"batch_size={config.batch_size}"
    if config.epochs:
        yield f"epochs={config.epochs}"
    if config.loss:
        if not isinstance(config.loss, Loss):
            raise InvalidRequest(
                f"loss={config.loss!r} is no Loss.", remedy="Use one of the Loss enumeration."
            )
        yield f"loss={config.loss.value}"


def _dataset(initializer: Initializer | None) -> Iterator[str]:
    """Where the dataset's files are once the initializer has fetched them."""
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


def _lora(config: LoraConfig) -> Iterator[str]:
    if not isinstance(config, LoraConfig):
        raise InvalidRequest(f"peft_config={config!r} is no LoraConfig.", remedy="Pass LoraConfig(...).")
    for name in _LORA:
        value = getattr(config, name)
        if value is not None:
            yield f"model.{name}={value}"
    if config.lora_attn_modules:
        yield f"model.lora_attn_modules=[{','.join(config.lora_attn_modules)}]"


def _instructions(config: TorchTuneInstructDataset) -> Iterator[str]:
    if not isinstance(config, TorchTuneInstructDataset):
        raise InvalidRequest(
            f"dataset_preprocess_config={config!r} is no TorchTuneInstructDataset.",
            remedy="Pass TorchTuneInstructDataset(...).",
        )
    yield f"dataset={constants.TORCH_TUNE_INSTRUCT_DATASET}"
    if config.source:
        if not isinstance(config.source, DataFormat):
            raise InvalidRequest(
                f"source={config.source!r} is no DataFormat.", remedy="Use DataFormat.JSON, ..."
            )
        yield f"dataset.source={config.source.value}"
    if config.split:
        yield f"dataset.split={config.split}"
    if config.train_on_input is not None:
        yield f"dataset.train_on_input={config.train_on_input}"
    if config.new_system_prompt:
        yield f"dataset.new_system_prompt={config.new_system_prompt}"
    if config.column_map:
        yield f"dataset.column_map={config.column_map}"
