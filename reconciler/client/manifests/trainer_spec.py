"""Builds ``spec.trainer`` of a TrainJob from the client's trainer: command, image, environment, resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from reconciler.client.client_errors import InvalidRequest
from reconciler.client.constants import constants
from reconciler.client.manifests.function_command import build_function_command
from reconciler.client.manifests.function_source import build_program
from reconciler.client.manifests.torchtune_arguments import build_torchtune_arguments
from reconciler.client.types.types import (
    BuiltinTrainer,
    CustomTrainer,
    CustomTrainerContainer,
    Initializer,
    Runtime,
    TorchTuneConfig,
    TrainerType,
)

Trainer = CustomTrainer | CustomTrainerContainer | BuiltinTrainer

_RESOURCE_ALIASES: Final = {"gpu": constants.GPU_LABEL, "storage": "ephemeral-storage"}
#: Names that are accepted in any case.
_CASELESS_RESOURCES: Final = frozenset({"cpu", "memory", "gpu", "storage", "ephemeral-storage"})


def build_trainer_spec(
    runtime: Runtime, trainer: Trainer | None, initializer: Initializer | None
) -> dict[str, Any]:
    """Returns ``spec.trainer``; empty where the runtime's own command runs.

    Raises:
        InvalidRequest: the trainer does not fit the runtime, or a value of it is wrong.
    """
    if trainer is None:
        return {}
    builtin = runtime.trainer.trainer_type is TrainerType.BUILTIN_TRAINER
    if isinstance(trainer, BuiltinTrainer):
        if not builtin:
            raise InvalidRequest(
                f"BuiltinTrainer can't be used with the runtime {runtime.name}.",
                remedy="Name one of torchtune's, such as torchtune-llama3.2-1b.",
            )
        return _builtin_trainer(runtime, trainer, initializer)
    if not isinstance(trainer, (CustomTrainer, CustomTrainerContainer)):
        raise InvalidRequest(
            f"The trainer type {type(trainer).__name__} is not supported.",
            remedy="Please use CustomTrainer, CustomTrainerContainer, or BuiltinTrainer.",
        )
    if builtin:
        raise InvalidRequest(
            f"{type(trainer).__name__} can't be used with the runtime {runtime.name}.",
            remedy="It has a trainer of its own: use BuiltinTrainer, or a runtime such as torch-distributed.",
        )
    return _custom_trainer(runtime, trainer)


def build_resources(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Returns equal requests and limits; ``gpu``, ``storage`` and ``mig-*`` under their full names.

    Raises:
        InvalidRequest: GPU and MIG together, several MIG profiles, or a part of a device.
    """
    amounts: dict[str, Any] = {}
    for key, value in wanted.items():
        lowered = key.lower()
        name = lowered if lowered in _CASELESS_RESOURCES or lowered.startswith("mig-") else key
        if name.startswith("mig-"):
            name = constants.GPU_MIG_PREFIX + name.removeprefix("mig-")
        name = _RESOURCE_ALIASES.get(name, name)
        if "/" in name and not _is_whole(value):
            raise InvalidRequest(
                f"resources_per_node: {value!r} of {key} is no whole number; devices are not divided.",
                remedy='Write {"gpu": 1}, or a MIG profile such as {"mig-1g.5gb": 1}.',
            )
        amounts[name] = value if isinstance(value, int) else str(value)
    profiles = [name for name in amounts if name.startswith(constants.GPU_MIG_PREFIX)]
    if len(profiles) > 1:
        raise InvalidRequest(f"Multiple MIG resource types are not supported: {profiles}.")
    if profiles and constants.GPU_LABEL in amounts:
        raise InvalidRequest(
            f"GPU ({constants.GPU_LABEL}) and MIG ({profiles[0]}) cannot be requested together."
        )
    return {"requests": dict(amounts), "limits": dict(amounts)}


def _is_whole(value: Any) -> bool:
    """As Kubernetes requires for everything but its own resources; ``1.0`` is what upstream's SDK writes."""
    try:
        return float(value).is_integer()
    except (TypeError, ValueError):
        return True  # a quantity as text, or none: the manifest's check reports more


def _custom_trainer(runtime: Runtime, trainer: CustomTrainer | CustomTrainerContainer) -> dict[str, Any]:
    fields = _nodes_and_resources(trainer.num_nodes, trainer.resources_per_node)
    if isinstance(trainer, CustomTrainer):
        fields["command"] = build_function_command(
            runtime.trainer.command,
            build_program(trainer.func, trainer.func_args),
            packages=_check_texts("packages_to_install", trainer.packages_to_install),
            index_urls=_check_texts("pip_index_urls", trainer.pip_index_urls),
        )
    if trainer.image:
        fields["image"] = trainer.image
    if trainer.env:
        fields["env"] = [{"name": name, "value": _env_value(name, v)} for name, v in trainer.env.items()]
    return fields


def _builtin_trainer(
    runtime: Runtime, trainer: BuiltinTrainer, initializer: Initializer | None
) -> dict[str, Any]:
    config = trainer.config
    if not isinstance(config, TorchTuneConfig):
        raise InvalidRequest(
            f"The BuiltinTrainer config is invalid: {config!r}.", remedy="Use TorchTuneConfig."
        )
    fields = _nodes_and_resources(config.num_nodes, config.resources_per_node)
    fields["command"] = list(runtime.trainer.command)
    if arguments := build_torchtune_arguments(config, initializer):
        fields["args"] = arguments
    return fields


def _nodes_and_resources(num_nodes: Any, per_node: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if num_nodes is not None:
        if isinstance(num_nodes, bool) or not isinstance(num_nodes, int) or num_nodes < 1:
            raise InvalidRequest(f"num_nodes must be a whole number of 1 or more, not {num_nodes!r}.")
        fields["numNodes"] = num_nodes
    if per_node:
        if not isinstance(per_node, Mapping):
            raise InvalidRequest(
                f"resources_per_node must be a dictionary, not {per_node!r}.",
                remedy='Write {"cpu": 2, "memory": "4Gi", "gpu": 1}.',
            )
        fields["resourcesPerNode"] = build_resources(per_node)
    return fields


def _check_texts(name: str, value: Any) -> Sequence[str]:
    """Refuses a single text, too, which is a sequence of letters."""
    if value is None:
        return ()
    if isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise InvalidRequest(f"{name} must be a list of texts, not {value!r}.")
    return list(value)


def _env_value(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise InvalidRequest(f"env: the value of {name} must be a text, not {value!r}.")
