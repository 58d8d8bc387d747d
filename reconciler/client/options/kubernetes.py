"""Options that upstream has for its Kubernetes backend only; here they are fields of the manifest."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from reconciler.client.client_errors import InvalidRequest
from reconciler.client.options.patches import (
    ContainerPatch,
    JobSetSpecPatch,
    JobSetTemplatePatch,
    JobSpecPatch,
    JobTemplatePatch,
    PodSpecPatch,
    PodTemplatePatch,
    ReplicatedJobPatch,
    TrainingRuntimeSpecPatch,
    patch_as_data,
)
from reconciler.client.types.types import CustomTrainerContainer

#: At upstream's import path; the parts of a patch have a module of their own here.
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
