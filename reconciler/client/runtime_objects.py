"""Runtimes as callers see them, from the documents that the folder, the sources and this project have.

Read from the raw documents: a runtime that cannot be understood is left out of the list with a warning, and
is an error only for who asks for it by name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from reconciler.client.constants import constants
from reconciler.client.types.types import (
    TORCH_TUNE,
    Runtime,
    RuntimeKind,
    RuntimeTrainer,
    TrainerType,
)

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.sources.folder.catalog import Catalog

Raw = Mapping[str, Any]
#: Of a runtime without the label, by its policy; the first that is there.
_FRAMEWORKS: Final = ("torch", "mpi", "jax", "xgboost", "flux")
PLAIN: Final = "plain"

_log = logging.getLogger(__name__)


def runtime_documents(catalog: Catalog, further: Iterable[Document], namespace: str) -> dict[str, Document]:
    """Valid runtimes by name: a namespace's own before those for all, the folder's before further ones."""
    found: dict[str, Document] = {}
    for document in sorted(catalog.runtimes.values(), key=lambda d: (not d.namespace, d.name)):
        if document.namespace in ("", namespace):
            found.setdefault(document.name, document)
    for document in further:
        if document.namespace in ("", namespace):
            found.setdefault(document.name, document)
    return found


def runtime_from(raw: Raw) -> Runtime:
    """The runtime of a document.

    Raises:
        ValueError: it has no container that trains.
    """
    name = str(_mapping(raw.get("metadata")).get("name", ""))
    policy = _mapping(_mapping(raw.get("spec")).get("mlPolicy"))
    container = trainer_container(raw)
    if container is None or not container.get("image"):
        raise ValueError(f"The runtime {name} has no container {constants.NODE!r} with an image that trains.")
    framework = framework_of(raw)
    builtin = framework == TORCH_TUNE
    trainer = RuntimeTrainer(
        trainer_type=TrainerType.BUILTIN_TRAINER if builtin else TrainerType.CUSTOM_TRAINER,
        framework=framework,
        image=str(container["image"]),
        num_nodes=int(policy.get("numNodes") or 1),
    )
    trainer.device, trainer.device_count = _devices(container, policy, trainer.num_nodes)
    trainer.set_command(_command(builtin=builtin, policy=policy))
    return Runtime(name=name, trainer=trainer, kind=RuntimeKind(raw.get("kind")))


def listed(documents: Iterable[Document]) -> Iterator[Runtime]:
    """Those that can be understood."""
    for document in documents:
        try:
            yield runtime_from(document.raw)
        except ValueError as error:
            _log.warning("%s It is left out (%s:%s).", error, document.file, document.line)


def unknown_runtime(name: str) -> Runtime:
    """Stands for the runtime of a job whose runtime is not there (any longer)."""
    trainer = RuntimeTrainer(
        trainer_type=TrainerType.CUSTOM_TRAINER, framework=constants.UNKNOWN, image=constants.UNKNOWN
    )
    return Runtime(name=name, trainer=trainer, kind=RuntimeKind.CLUSTER_TRAINING_RUNTIME)


def framework_of(raw: Raw) -> str:
    """The label's word, else what the policy says."""
    labels = _mapping(_mapping(raw.get("metadata")).get("labels"))
    if label := labels.get(constants.RUNTIME_FRAMEWORK_LABEL):
        return str(label)
    policy = _mapping(_mapping(raw.get("spec")).get("mlPolicy"))
    return next((kind for kind in _FRAMEWORKS if kind in policy), PLAIN)


def replicated_jobs(raw: Raw) -> list[dict[str, Any]]:
    """The runtime's steps."""
    template = _mapping(_mapping(raw.get("spec")).get("template"))
    jobs = _mapping(template.get("spec")).get("replicatedJobs")
    return [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []


def containers_of(step: Raw) -> list[dict[str, Any]]:
    """Of a step's pods."""
    job = _mapping(step.get("template"))
    pod = _mapping(_mapping(_mapping(job.get("spec")).get("template")).get("spec"))
    containers = pod.get("containers")
    return [c for c in containers if isinstance(c, dict)] if isinstance(containers, list) else []


def ancestor_of(step: Raw) -> str:
    """``trainer``, ``dataset-initializer``, ...; "" for other steps."""
    metadata = _mapping(_mapping(step.get("template")).get("metadata"))
    return str(_mapping(metadata.get("labels")).get(constants.TRAINJOB_ANCESTOR_LABEL, ""))


def trainer_container(raw: Raw) -> dict[str, Any] | None:
    """The container that trains: ``node`` of the step marked as trainer, else of the step ``node``."""
    steps = replicated_jobs(raw)
    marked = [step for step in steps if ancestor_of(step)]
    for step in [*marked, *(s for s in steps if s.get("name") == constants.NODE)]:
        for container in containers_of(step):
            if container.get("name") == constants.NODE:
                return container
    return None


def devices_of(container: Raw) -> tuple[str, str]:
    """Kind and count of what a container asks for."""
    limits = _mapping(_mapping(container.get("resources")).get("limits"))
    for resource, device in (
        (constants.GPU_LABEL, "gpu"),
        (constants.TPU_LABEL, "tpu"),
        *((name, name.partition("/")[2]) for name in limits if name.startswith(constants.GPU_MIG_PREFIX)),
        (constants.NPU_LABEL, "npu"),
        (constants.CPU_LABEL, "cpu"),
    ):
        if resource in limits:
            return device, str(limits[resource])
    return constants.UNKNOWN, constants.UNKNOWN


def _devices(container: Raw, policy: Raw, nodes: int) -> tuple[str, str]:
    device, count = devices_of(container)
    slots = _mapping(policy.get("mpi")).get("numProcPerNode")
    if slots:
        count = str(slots)
    return device, str(int(count) * nodes) if count.isdigit() else count


def _command(*, builtin: bool, policy: Raw) -> tuple[str, ...]:
    if builtin:
        return constants.TORCH_TUNE_COMMAND
    if policy.get("torch") is not None:
        return constants.TORCH_COMMAND
    return constants.MPI_COMMAND if policy.get("mpi") else constants.DEFAULT_COMMAND


def _mapping(value: Any) -> Raw:
    return value if isinstance(value, Mapping) else {}
