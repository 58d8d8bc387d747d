"""Rules for torchtune jobs (``command: [tune, run]``): models, LoRA, and arguments that the runtime sets.

The model follows from the runtime's name: ``torchtune-llama3.2-1b`` is ``llama3_2/1B``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from reconciler.api.faults import Findings
from reconciler.api.models.core.container import ResourceRequirements
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import Trainer, TrainJob
from reconciler.api.quantities import count_gpus
from reconciler.api.step_names import NODE

ENTRYPOINT: Final = ("tune", "run")
_MODELS: Final = frozenset({"llama3_2/1B", "llama3_2/3B", "llama3_3/70B", "qwen2_5/1.5B"})
#: The only model with a recipe for several nodes.
_MULTI_NODE_MODEL: Final = "llama3_3/70B"
_NO_QLORA: Final = frozenset({"qwen2_5/1.5B"})
_SINGLE_DEVICE_QLORA: Final = frozenset({"llama3_2/1B", "llama3_2/3B"})
#: Values of a switch that turn it off (torchtune reads its arguments as YAML).
_OFF: Final = frozenset({"false", "no", "off", "0"})
#: Arguments that the runtime sets in its command and a job must not.
MANAGED: Final = frozenset(
    {"output_dir", "tokenizer.path", "tokenizer.merges_file", "checkpointer.checkpoint_dir"}
)


def is_torchtune(command: Sequence[str] | None) -> bool:
    """Returns whether the trainer's command is torchtune's, which the runtime completes."""
    return tuple(command or ()) == ENTRYPOINT


def parse_model(runtime_name: str) -> str:
    """Returns the model in a runtime's name (``family/SIZE``); empty where the name has not three parts."""
    parts = runtime_name.split("-")
    return f"{parts[1].replace('.', '_')}/{parts[2].upper()}" if len(parts) == 3 else ""


def uses_lora(args: Sequence[str]) -> bool:
    """Returns whether the arguments ask for LoRA."""
    return any("model.lora_attn_modules" in arg for arg in args)


def uses_qlora(args: Sequence[str]) -> bool:
    """Returns whether the arguments ask for QLoRA: a quantized base, without DoRA."""
    return _is_on(args, "model.quantize_base") and not _is_on(args, "model.use_dora")


def _is_on(args: Sequence[str], key: str) -> bool:
    """Returns whether the last value of a switch, if any, turns it on."""
    values = [arg.partition("=")[2] for arg in args if key in arg]
    return bool(values) and values[-1].strip().lower() not in _OFF


def check(job: TrainJob, runtime: Runtime) -> Findings:
    """Yields the faults of a torchtune job."""
    trainer = job.spec.trainer or Trainer()
    name = job.spec.runtime_ref.name
    model = parse_model(name)
    nodes = 1 if trainer.num_nodes is None else trainer.num_nodes
    if model not in _MODELS:
        yield (
            "spec.runtimeRef.name",
            (
                f'Invalid value: "{name}": must have a supported pretrained model, invalid model configured: '
                f"{model or 'none'}; supported: {', '.join(sorted(_MODELS))}"
            ),
        )
    if nodes > 1 and model != _MULTI_NODE_MODEL:
        yield "spec.trainer.numNodes", f"Invalid value: {nodes}: must be 1 for {model or 'this'} model"
    if nodes > 1 and uses_lora(trainer.args):
        yield (
            "spec.trainer.numNodes",
            f"Invalid value: {nodes}: LoRA fine-tuning is not supported for multi-node training in TorchTune",
        )
    if nodes == 1 and uses_qlora(trainer.args):
        yield from _check_qlora(job, trainer, runtime, model)
    yield from _check_managed_arguments(trainer)


def _check_qlora(job: TrainJob, trainer: Trainer, runtime: Runtime, model: str) -> Findings:
    if model in _NO_QLORA:
        yield (
            "spec.runtimeRef.name",
            f'Invalid value: "{job.spec.runtime_ref.name}": QLoRA is not supported for {model} model',
        )
    resources = trainer.resources_per_node or _get_trainer_resources(runtime)
    gpus = count_gpus(resources.requests, resources.limits) if resources else 0
    single_device = trainer.num_proc_per_node == 1 or gpus == 1
    if model in _SINGLE_DEVICE_QLORA and not single_device:
        yield (
            "spec.trainer.numProcPerNode",
            (
                f"Invalid value: {trainer.num_proc_per_node or 'auto'}: must be auto or 1 for {model} model "
                "when using QLoRA"
            ),
        )
        yield (
            "spec.trainer.resourcesPerNode",
            f"Invalid value: must have gpu resource with value 1 for {model} model when using QLoRA",
        )


def _get_trainer_resources(runtime: Runtime) -> ResourceRequirements | None:
    """Returns the resources of the container ``node`` in the trainer's step."""
    for step in runtime.spec.trainers:
        for container in step.containers:
            if container.name == NODE:
                return container.resources
    return None


def _check_managed_arguments(trainer: Trainer) -> Findings:
    for index, argument in enumerate(trainer.args):
        key = argument.split("=", 1)[0]
        if key in MANAGED:
            yield (
                f"spec.trainer.args[{index}]",
                (
                    f'Invalid value: "{argument}": must not set immutable config "{key}" in trainer args; '
                    "it is managed by the runtime"
                ),
            )
