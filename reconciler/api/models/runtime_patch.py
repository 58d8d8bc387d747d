"""RuntimePatch: what a TrainJob may change in its runtime.

The types are narrow: a field that is not in them (image, command) is rejected as unknown, as by upstream's
CRD.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reconciler.api.models.base import IMMUTABLE, Int64, ListMap, Model, StringMap, Timestamp
from reconciler.api.models.core.container import VolumeMount
from reconciler.api.models.core.environment import EnvVar
from reconciler.api.models.core.scheduling import Affinity, PodSchedulingGate, Toleration
from reconciler.api.models.core.security_context import PodSecurityContext, SecurityContext
from reconciler.api.models.core.volume import Volume
from reconciler.api.models.metadata import EmbeddedMetadata, LocalObjectReference


class ContainerPatch(Model):
    """Changes of one container, by its name."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    env: Annotated[tuple[EnvVar, ...], Field(max_length=128), ListMap("name")] = ()
    security_context: SecurityContext | None = None
    volume_mounts: Annotated[tuple[VolumeMount, ...], Field(max_length=128), ListMap("name")] = ()


class PodSpecPatch(Model):
    """Changes of the pods of a replicated job."""

    affinity: Affinity | None = None
    containers: Annotated[tuple[ContainerPatch, ...], Field(max_length=64), ListMap("name"), IMMUTABLE] = ()
    image_pull_secrets: Annotated[
        tuple[LocalObjectReference, ...], Field(max_length=64), ListMap("name"), IMMUTABLE
    ] = ()
    init_containers: Annotated[
        tuple[ContainerPatch, ...], Field(max_length=64), ListMap("name"), IMMUTABLE
    ] = ()
    node_selector: StringMap = Field(default_factory=dict)
    scheduling_gates: Annotated[tuple[PodSchedulingGate, ...], Field(max_length=16), ListMap("name")] = ()
    security_context: Annotated[PodSecurityContext | None, IMMUTABLE] = None
    service_account_name: Annotated[Annotated[str, Field(max_length=253)] | None, IMMUTABLE] = None
    termination_grace_period_seconds: Annotated[Annotated[Int64, Field(ge=0)] | None, IMMUTABLE] = None
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=128)] = ()
    volumes: Annotated[tuple[Volume, ...], Field(max_length=128), ListMap("name"), IMMUTABLE] = ()


class PodTemplatePatch(Model):
    """Changes of the pod template of a replicated job."""

    metadata: EmbeddedMetadata | None = None
    spec: PodSpecPatch | None = None


class JobSpecPatch(Model):
    """Changes of the Job of a replicated job."""

    template: PodTemplatePatch | None = None


class JobTemplatePatch(Model):
    """Changes of the Job template of a replicated job."""

    metadata: EmbeddedMetadata | None = None
    spec: JobSpecPatch | None = None


class ReplicatedJobPatch(Model):
    """Changes of one replicated job, by its name."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    template: JobTemplatePatch | None = None

    @property
    def pod_spec(self) -> PodSpecPatch | None:
        """The changes of its pods."""
        spec = self.template.spec if self.template else None
        return spec.template.spec if spec and spec.template else None


class JobSetSpecPatch(Model):
    """Changes of the JobSet's replicated jobs."""

    replicated_jobs: Annotated[tuple[ReplicatedJobPatch, ...], Field(max_length=100), ListMap("name")] = ()


class JobSetTemplatePatch(Model):
    """Changes of the JobSet template."""

    metadata: EmbeddedMetadata | None = None
    spec: JobSetSpecPatch | None = None


class TrainingRuntimeSpecPatch(Model):
    """Changes of the runtime that a patch may make."""

    template: JobSetTemplatePatch | None = None


class RuntimePatch(Model):
    """Changes that one manager makes to the runtime, for this job only."""

    manager: Annotated[str, Field(min_length=1, max_length=253), IMMUTABLE]
    time: Timestamp | None = None
    training_runtime_spec: TrainingRuntimeSpecPatch | None = None

    @property
    def template(self) -> JobSetTemplatePatch | None:
        """The changes of the JobSet template."""
        return self.training_runtime_spec.template if self.training_runtime_spec else None

    @property
    def replicated_jobs(self) -> tuple[ReplicatedJobPatch, ...]:
        """The changes of replicated jobs."""
        return self.template.spec.replicated_jobs if self.template and self.template.spec else ()
