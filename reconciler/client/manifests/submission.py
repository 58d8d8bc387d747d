"""From the arguments of ``train()`` to a manifest: the TrainJob that the SDK's Kubernetes backend creates.

Checked as ``reconciler validate`` does before it is written, so that a mistake is an exception where it was
made, and not a status to be found later.
"""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reconciler.client.client_errors import InvalidRequest
from reconciler.client.constants import constants
from reconciler.client.manifests.function_command import function_command
from reconciler.client.manifests.function_source import ship
from reconciler.client.manifests.initializer_manifests import Images, Initializing, initialize
from reconciler.client.manifests.torchtune_arguments import torchtune_arguments
from reconciler.client.types.torchtune import TorchTuneConfig
from reconciler.client.types.types import (
    BuiltinTrainer,
    CustomTrainer,
    CustomTrainerContainer,
    Initializer,
    Runtime,
    TrainerType,
)
from reconciler.names import ANNOTATION_SUBMITTED_BY, PREFIX

if TYPE_CHECKING:
    from reconciler.api import Document

Trainer = CustomTrainer | CustomTrainerContainer | BuiltinTrainer
Option = Callable[[dict[str, Any], Any, Any], None]

CLIENT: Final = "client"
#: The runtime that was asked for, where the job has one of its own made from it.
ANNOTATION_RUNTIME: Final = PREFIX + "runtime"
_ALIASES: Final = {"gpu": constants.GPU_LABEL, "storage": "ephemeral-storage"}
_LOWERED: Final = frozenset({"cpu", "memory", "gpu", "storage", "ephemeral-storage"})


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A job to be written.

    Attributes:
        documents: the TrainJob, and after it a runtime of its own where it needs one.
        secret: to be readable by its owner only.
    """

    name: str
    documents: tuple[dict[str, Any], ...]
    secret: bool


def generated_name() -> str:
    """A letter and eleven hexadecimal digits, as upstream."""
    letter = random.choice(string.ascii_lowercase)  # noqa: S311  (a name, not a secret)
    return letter + uuid.uuid4().hex[: constants.JOB_NAME_UUID_LENGTH]


def compose(
    *,
    runtime: Runtime,
    document: Document,
    initializer: Initializer | None,
    trainer: Trainer | None,
    options: Sequence[Option] | None,
    namespace: str,
    images: Images,
) -> Submission:
    """The manifest of a job.

    Args:
        runtime: that trains; its command is the shape of the job's.
        document: of the runtime.
        initializer: what is fetched first.
        trainer: None: the runtime's own command.
        options: applied in order.
        namespace: of the job.
        images: for initializers that the runtime does not have.

    Raises:
        InvalidRequest: what is asked for makes no job.
    """
    chosen: dict[str, Any] = {}
    for option in _options(options):
        option(chosen, trainer, None)
    metadata, extra = chosen.get("metadata", {}), chosen.get("spec", {})
    name = metadata.get("name") or generated_name()
    made = initialize(initializer, document.raw, job=name, namespace=namespace, images=images)
    spec = _spec(runtime, trainer, initializer, made, extra)
    annotations = {ANNOTATION_SUBMITTED_BY: CLIENT} | dict(metadata.get("annotations") or {})
    if made.runtime is not None:
        annotations[ANNOTATION_RUNTIME] = runtime.name
    job: dict[str, Any] = {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TRAINJOB_KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    if metadata.get("labels"):
        job["metadata"]["labels"] = dict(metadata["labels"])
    job["metadata"]["annotations"] = annotations
    documents = (job,) if made.runtime is None else (job, made.runtime)
    return Submission(name=name, documents=documents, secret=made.secret)


def _options(options: Any) -> Sequence[Option]:
    if options is None:
        return ()
    if not isinstance(options, (list, tuple)) or not all(map(callable, options)):
        raise InvalidRequest(
            f"options must be a list of options, not {options!r}.",
            remedy="They are in reconciler.client.options: options=[Name(...), Labels({...})].",
        )
    return options


def checked_text(submission: Submission, *, file: str, runtimes: Iterable[Document]) -> str:
    """The manifest's YAML, found valid.

    Args:
        submission: what is to be written.
        file: where to; named in faults.
        runtimes: that are there.

    Raises:
        InvalidRequest: upstream's admission (or this project) would refuse it; the message has every fault.
    """
    from reconciler.api import check, dump, load  # noqa: PLC0415  (builds pydantic models)

    text = dump(*submission.documents)
    loaded = load(text.encode(), file)
    faults = [*loaded.faults, *(f for doc in loaded.documents for f in doc.faults)]
    faults += check(loaded.documents, runtimes=list(runtimes))
    errors = [fault for fault in faults if fault.severity == "error"]
    if errors:
        said = "; ".join(dict.fromkeys(f"{f.path}: {f.message}" if f.path else f.message for f in errors))
        raise InvalidRequest(f"The TrainJob {submission.name} would be refused: {said}.")
    return text


def resources(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Requests and limits, alike; ``gpu``, ``storage`` and ``mig-*`` under their full names.

    Raises:
        InvalidRequest: GPU and MIG together, several MIG profiles, or a part of a device.
    """
    amounts: dict[str, Any] = {}
    for key, value in wanted.items():
        lowered = key.lower()
        name = lowered if lowered in _LOWERED or lowered.startswith("mig-") else key
        if name.startswith("mig-"):
            name = constants.GPU_MIG_PREFIX + name.removeprefix("mig-")
        name = _ALIASES.get(name, name)
        if "/" in name and not _is_whole(value):
            raise InvalidRequest(
                f"resources_per_node: {value!r} of {key} is no whole number; devices are not divided.",
                remedy='Write {"gpu": 1}, or a MIG profile such as {"mig-1g.5gb": 1}.',
            )
        amounts[name] = value if isinstance(value, int) else str(value)
    slices = [name for name in amounts if name.startswith(constants.GPU_MIG_PREFIX)]
    if len(slices) > 1:
        raise InvalidRequest(f"Multiple MIG resource types are not supported: {slices}.")
    if slices and constants.GPU_LABEL in amounts:
        raise InvalidRequest(
            f"GPU ({constants.GPU_LABEL}) and MIG ({slices[0]}) cannot be requested together."
        )
    return {"requests": dict(amounts), "limits": dict(amounts)}


def _is_whole(value: Any) -> bool:
    """As Kubernetes wants of everything but its own resources; ``1.0`` is what upstream's SDK writes."""
    try:
        return float(value).is_integer()
    except (TypeError, ValueError):
        return True  # a quantity in text, or none: the manifest's check has more to say


def _spec(
    runtime: Runtime,
    trainer: Trainer | None,
    initializer: Initializer | None,
    made: Initializing,
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    name, kind = runtime.name, runtime.kind.value
    if made.runtime is not None:
        name, kind = made.runtime["metadata"]["name"], made.runtime["kind"]
    spec: dict[str, Any] = {"runtimeRef": {"name": name, "kind": kind}}
    if made.spec:
        spec["initializer"] = made.spec
    fields = _trainer(runtime, trainer, initializer) | dict(extra.get("trainer") or {})
    if fields:
        spec["trainer"] = fields
    return spec | {key: value for key, value in extra.items() if key != "trainer"}


def _trainer(runtime: Runtime, trainer: Trainer | None, initializer: Initializer | None) -> dict[str, Any]:
    if trainer is None:
        return {}
    builtin = runtime.trainer.trainer_type is TrainerType.BUILTIN_TRAINER
    if isinstance(trainer, BuiltinTrainer):
        if not builtin:
            raise InvalidRequest(
                f"BuiltinTrainer can't be used with the runtime {runtime.name}.",
                remedy="Name one of torchtune's, such as torchtune-llama3.2-1b.",
            )
        return _from_builtin(runtime, trainer, initializer)
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
    return _from_custom(runtime, trainer)


def _from_custom(runtime: Runtime, trainer: CustomTrainer | CustomTrainerContainer) -> dict[str, Any]:
    fields = _sizes(trainer.num_nodes, trainer.resources_per_node)
    if isinstance(trainer, CustomTrainer):
        fields["command"] = function_command(
            runtime.trainer.command,
            ship(trainer.func, trainer.func_args),
            packages=_texts("packages_to_install", trainer.packages_to_install),
            indexes=_texts("pip_index_urls", trainer.pip_index_urls),
        )
    if trainer.image:
        fields["image"] = trainer.image
    if trainer.env:
        fields["env"] = [{"name": name, "value": _value(name, v)} for name, v in trainer.env.items()]
    return fields


def _from_builtin(
    runtime: Runtime, trainer: BuiltinTrainer, initializer: Initializer | None
) -> dict[str, Any]:
    config = trainer.config
    if not isinstance(config, TorchTuneConfig):
        raise InvalidRequest(
            f"The BuiltinTrainer config is invalid: {config!r}.", remedy="Use TorchTuneConfig."
        )
    fields = _sizes(config.num_nodes, config.resources_per_node)
    fields["command"] = list(runtime.trainer.command)
    if arguments := torchtune_arguments(config, initializer):
        fields["args"] = arguments
    return fields


def _sizes(num_nodes: Any, per_node: Any) -> dict[str, Any]:
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
        fields["resourcesPerNode"] = resources(per_node)
    return fields


def _texts(name: str, value: Any) -> Sequence[str]:
    """A single text is a sequence, too: of letters."""
    if value is None:
        return ()
    if isinstance(value, str) or not all(isinstance(each, str) for each in value):
        raise InvalidRequest(f"{name} must be a list of texts, not {value!r}.")
    return list(value)


def _value(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise InvalidRequest(f"env: the value of {name} must be a text, not {value!r}.")
