"""Options that upstream has for its Kubernetes backend only; here they are fields of the manifest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.client.client_errors import InvalidRequest
from reconciler.client.types.types import CustomTrainerContainer

__all__ = [
    "ActiveDeadlineSeconds",
    "Annotations",
    "ContainerPatch",
    "JobSetSpecPatch",
    "JobSetTemplatePatch",
    "JobSpecPatch",
    "JobTemplatePatch",
    "Labels",
    "PodSpecPatch",
    "PodTemplatePatch",
    "ReplicatedJobPatch",
    "RuntimePatch",
    "TrainerArgs",
    "TrainerCommand",
    "TrainingRuntimeSpecPatch",
]

_VALUE_SOURCES = ("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef")


@dataclass
class Labels:
    """``metadata.labels`` of the TrainJob."""

    labels: dict[str, str]

    def __call__(self, job_spec: dict[str, Any], trainer: object, backend: object) -> None:  # noqa: ARG002
        """Sets the field."""
        job_spec.setdefault("metadata", {})["labels"] = dict(self.labels)


@dataclass
class Annotations:
    """``metadata.annotations`` of the TrainJob."""

    annotations: dict[str, str]

    def __call__(self, job_spec: dict[str, Any], trainer: object, backend: object) -> None:  # noqa: ARG002
        """Sets the field."""
        job_spec.setdefault("metadata", {})["annotations"] = dict(self.annotations)


@dataclass
class TrainerCommand:
    """``spec.trainer.command``, with a :class:`CustomTrainerContainer` or no trainer."""

    command: list[str]

    def __call__(self, job_spec: dict[str, Any], trainer: object, backend: object) -> None:  # noqa: ARG002
        """Sets the field.

        Raises:
            InvalidRequest: the trainer has a command of its own.
        """
        _require_container_trainer("TrainerCommand", trainer)
        job_spec.setdefault("spec", {}).setdefault("trainer", {})["command"] = list(self.command)


@dataclass
class TrainerArgs:
    """``spec.trainer.args``, with a :class:`CustomTrainerContainer` or no trainer."""

    args: list[str]

    def __call__(self, job_spec: dict[str, Any], trainer: object, backend: object) -> None:  # noqa: ARG002
        """Sets the field.

        Raises:
            InvalidRequest: the trainer has arguments of its own.
        """
        _require_container_trainer("TrainerArgs", trainer)
        job_spec.setdefault("spec", {}).setdefault("trainer", {})["args"] = list(self.args)


@dataclass
class ActiveDeadlineSeconds:
    """``spec.activeDeadlineSeconds``: a job that takes longer fails with DeadlineExceeded."""

    seconds: int

    def __post_init__(self) -> None:
        if type(self.seconds) is not int or self.seconds < 1:
            raise ValueError("activeDeadlineSeconds must be a positive integer (minimum 1)")

    def __call__(self, job_spec: dict[str, Any], trainer: object, backend: object) -> None:  # noqa: ARG002
        """Sets the field."""
        job_spec.setdefault("spec", {})["activeDeadlineSeconds"] = self.seconds


@dataclass
class RuntimePatch:
    """An entry of ``spec.runtimePatches``: this job's changes of its runtime."""

    training_runtime_spec: TrainingRuntimeSpecPatch | None = None
    manager: str = dataclasses.field(default="trainer.kubeflow.org/kubeflow-sdk", init=False, repr=False)

    def __call__(self, job_spec: dict[str, Any], trainer: object, backend: object) -> None:  # noqa: ARG002
        """Adds the entry."""
        patches = job_spec.setdefault("spec", {}).setdefault("runtimePatches", [])
        patches.append(patch_as_data(self))


def _require_container_trainer(option: str, trainer: object) -> None:
    if trainer is not None and not isinstance(trainer, CustomTrainerContainer):
        raise InvalidRequest(
            f"{option} can only be used with CustomTrainerContainer.",
            remedy="CustomTrainer makes its command from the function, BuiltinTrainer has the runtime's.",
        )


@dataclass
class ContainerPatch:
    """Environment, mounts and security context of one container of the runtime."""

    name: str
    env: list[dict[str, Any]] | None = None
    volume_mounts: list[dict[str, Any]] | None = None
    security_context: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.name.strip():
            raise ValueError("Container name must be a non-empty string")
        for variable in _check_entries("env", self.env):
            _check_variable(variable)
        for mount in _check_entries("volume_mounts", self.volume_mounts):
            _check_mount(mount)


@dataclass
class PodSpecPatch:
    """Fields of the pods."""

    service_account_name: str | None = None
    volumes: list[dict[str, Any]] | None = None
    init_containers: list[ContainerPatch] | None = None
    containers: list[ContainerPatch] | None = None
    image_pull_secrets: list[dict[str, Any]] | None = None
    security_context: dict[str, Any] | None = None
    node_selector: dict[str, str] | None = None
    affinity: dict[str, Any] | None = None
    tolerations: list[dict[str, Any]] | None = None
    scheduling_gates: list[dict[str, Any]] | None = None


@dataclass
class PodTemplatePatch:
    """Labels, annotations and fields of the pods."""

    metadata: dict[str, Any] | None = None
    spec: PodSpecPatch | None = None


@dataclass
class JobSpecPatch:
    """The pods of a Job."""

    template: PodTemplatePatch | None = None


@dataclass
class JobTemplatePatch:
    """A Job of a replicated job."""

    metadata: dict[str, Any] | None = None
    spec: JobSpecPatch | None = None


@dataclass
class ReplicatedJobPatch:
    """One replicated job (``node``, ``launcher``)."""

    name: str
    template: JobTemplatePatch | None = None


@dataclass
class JobSetSpecPatch:
    """The replicated jobs."""

    replicated_jobs: list[ReplicatedJobPatch] | None = None


@dataclass
class JobSetTemplatePatch:
    """The JobSet."""

    metadata: dict[str, Any] | None = None
    spec: JobSetSpecPatch | None = None


@dataclass
class TrainingRuntimeSpecPatch:
    """The runtime's spec."""

    template: JobSetTemplatePatch | None = None


def patch_as_data(value: Any) -> Any:
    """Returns dataclasses as plain data with the manifest's names; None and empty fields are left out."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    data: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if isinstance(item, list):
            item = [patch_as_data(entry) for entry in item] or None
        elif dataclasses.is_dataclass(item):
            item = patch_as_data(item) or None
        if item is not None:
            head, *tail = field.name.split("_")
            data[head + "".join(word.capitalize() for word in tail)] = item
    return data


def _check_entries(name: str, value: Any) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{name} must be a list of dictionaries")  # noqa: TRY004  (upstream's type)
    for entry in value:
        if not isinstance(entry, dict):
            raise ValueError(f"Each {name} entry must be a dictionary")  # noqa: TRY004
        if not entry.get("name"):
            raise ValueError(f"Each {name} entry must have a non-empty 'name' key")
    return value


def _check_variable(variable: Mapping[str, Any]) -> None:
    if "value" not in variable and "valueFrom" not in variable:
        raise ValueError("Each env entry must have either 'value' or 'valueFrom' key")
    source = variable.get("valueFrom", {"fieldRef": None})
    if not isinstance(source, dict) or not any(key in source for key in _VALUE_SOURCES):
        raise ValueError(f"env 'valueFrom' must be a dictionary with one of: {', '.join(_VALUE_SOURCES)}")


def _check_mount(mount: Mapping[str, Any]) -> None:
    path = mount.get("mountPath")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError(f"volume_mounts 'mountPath' must be an absolute path (start with /): {path}")
