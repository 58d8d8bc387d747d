"""Builds :class:`~reconciler.client.types.types.Runtime` objects from the documents of folder and sources.

Reads raw documents: a runtime without a container that trains is left out of the list with a warning, and is
an error only for a caller that asks for it by name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.api.framework_names import find_framework
from reconciler.api.step_names import NODE
from reconciler.client.constants import constants
from reconciler.client.types.types import (
    TORCH_TUNE,
    Runtime,
    RuntimeKind,
    RuntimeTrainer,
    TrainerType,
)
from reconciler.common.mappings import mapping_at

if TYPE_CHECKING:
    from reconciler.api import Document
    from reconciler.sources.folder.catalog import Catalog

Raw = Mapping[str, Any]

_log = logging.getLogger(__name__)


def select_runtimes(catalog: Catalog, namespace: str) -> dict[str, Document]:
    """Returns valid runtimes by name: namespaced before cluster-wide ones, the folder's before others."""
    own = sorted(catalog.runtimes.values(), key=lambda d: (not d.namespace, d.name))
    found: dict[str, Document] = {}
    for document in [*own, *catalog.fallback_runtimes.values()]:
        if document.namespace in ("", namespace):
            found.setdefault(document.name, document)
    return found


def parse_runtime(raw: Raw) -> Runtime:
    """Returns the runtime of a document.

    Raises:
        ValueError: it has no container that trains.
    """
    name = str(mapping_at(raw, "metadata").get("name", ""))
    policy = mapping_at(raw, "spec", "mlPolicy")
    container = _trainer_container(raw)
    if container is None or not container.get("image"):
        raise ValueError(f"The runtime {name} has no container {NODE!r} with an image that trains.")
    framework = find_framework(raw)
    builtin = framework == TORCH_TUNE
    trainer = RuntimeTrainer(
        trainer_type=TrainerType.BUILTIN_TRAINER if builtin else TrainerType.CUSTOM_TRAINER,
        framework=framework,
        image=str(container["image"]),
        num_nodes=int(policy.get("numNodes") or 1),
    )
    trainer.device, trainer.device_count = _total_devices(container, policy, trainer.num_nodes)
    trainer.set_command(_command(builtin=builtin, policy=policy))
    return Runtime(name=name, trainer=trainer, kind=RuntimeKind(raw.get("kind")))


def parse_runtimes(documents: Iterable[Document]) -> Iterator[Runtime]:
    """Yields the runtimes that have a container that trains."""
    for document in documents:
        try:
            yield parse_runtime(document.raw)
        except ValueError as error:
            _log.warning("%s It is left out (%s:%s).", error, document.file, document.line)


def unknown_runtime(name: str) -> Runtime:
    """Returns a stand-in for a job's runtime that does not exist (any longer)."""
    trainer = RuntimeTrainer(
        trainer_type=TrainerType.CUSTOM_TRAINER, framework=constants.UNKNOWN, image=constants.UNKNOWN
    )
    return Runtime(name=name, trainer=trainer, kind=RuntimeKind.CLUSTER_TRAINING_RUNTIME)


def replicated_jobs(raw: Raw) -> list[dict[str, Any]]:
    """Returns the runtime's steps."""
    jobs = mapping_at(raw, "spec", "template", "spec").get("replicatedJobs")
    return [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []


def step_containers(step: Raw) -> list[dict[str, Any]]:
    """Returns the containers of a step's pods."""
    containers = mapping_at(step, "template", "spec", "template", "spec").get("containers")
    return [c for c in containers if isinstance(c, dict)] if isinstance(containers, list) else []


def requested_devices(container: Raw) -> tuple[str, str]:
    """Returns kind and count of the devices that a container asks for."""
    limits = mapping_at(container, "resources", "limits")
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


def _trainer_container(raw: Raw) -> dict[str, Any] | None:
    """The container that trains: ``node`` of a step with an ancestor, else of the step ``node``."""
    steps = replicated_jobs(raw)
    marked = [
        step
        for step in steps
        if mapping_at(step, "template", "metadata", "labels").get(constants.TRAINJOB_ANCESTOR_LABEL)
    ]
    for step in [*marked, *(s for s in steps if s.get("name") == NODE)]:
        for container in step_containers(step):
            if container.get("name") == NODE:
                return container
    return None


def _total_devices(container: Raw, policy: Raw, nodes: int) -> tuple[str, str]:
    device, count = requested_devices(container)
    slots = mapping_at(policy, "mpi").get("numProcPerNode")
    if slots:
        count = str(slots)
    return device, str(int(count) * nodes) if count.isdigit() else count


def _command(*, builtin: bool, policy: Raw) -> tuple[str, ...]:
    if builtin:
        return constants.TORCH_TUNE_COMMAND
    if policy.get("torch") is not None:
        return constants.TORCH_COMMAND
    return constants.MPI_COMMAND if policy.get("mpi") else constants.DEFAULT_COMMAND
