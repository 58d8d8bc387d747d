"""TrainingRuntime and ClusterTrainingRuntime."""

from __future__ import annotations

from typing import Literal, TypeAlias

from reconciler.api.framework_names import FrameworkName
from reconciler.api.models.base import Model
from reconciler.api.models.jobset import JobSetSpec, JobSetTemplateSpec, ReplicatedJob
from reconciler.api.models.metadata import ObjectMeta
from reconciler.api.models.ml_policy import MLPolicy, PodGroupPolicy
from reconciler.api.step_names import TRAINER, infer_trainer


class TrainingRuntimeSpec(Model):
    """The blueprint of a training: policies and a JobSet template."""

    min_properties = 1

    ml_policy: MLPolicy | None = None
    pod_group_policy: PodGroupPolicy | None = None
    template: JobSetTemplateSpec | None = None

    @property
    def frameworks(self) -> tuple[FrameworkName, ...]:
        """The frameworks of its policy: none or one where it is valid."""
        return self.ml_policy.frameworks if self.ml_policy else ()

    @property
    def inferred_trainer(self) -> str:
        """Name of the replicated job that trains although no label says so; "" where one does."""
        ancestors = {job.name: job.ancestor for job in self.jobset.replicated_jobs}
        return infer_trainer(ancestors, launched="mpi" in self.frameworks)

    @property
    def trainers(self) -> tuple[ReplicatedJob, ...]:
        """The replicated jobs that train: those labelled so, else the inferred one."""
        inferred = self.inferred_trainer
        return tuple(
            job for job in self.jobset.replicated_jobs if job.ancestor == TRAINER or job.name == inferred
        )

    @property
    def jobset(self) -> JobSetSpec:
        """Its JobSet; an empty one where it has none."""
        return (self.template.spec if self.template else None) or JobSetSpec()


class ClusterTrainingRuntime(Model):
    """A runtime for jobs of every namespace."""

    api_version: Literal["trainer.kubeflow.org/v1alpha1"]
    kind: Literal["ClusterTrainingRuntime"]
    metadata: ObjectMeta
    spec: TrainingRuntimeSpec


class TrainingRuntime(Model):
    """A runtime for jobs of its own namespace."""

    api_version: Literal["trainer.kubeflow.org/v1alpha1"]
    kind: Literal["TrainingRuntime"]
    metadata: ObjectMeta
    spec: TrainingRuntimeSpec


Runtime: TypeAlias = ClusterTrainingRuntime | TrainingRuntime
