"""What a TrainJob may change of its runtime: narrow types, so that the rest stays the runtime's.

A field that is not here (image, command) is refused as unknown, as upstream's CRD does.
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
    """... of one container, by its name."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    env: Annotated[tuple[EnvVar, ...], Field(max_length=128), ListMap("name")] = ()
    security_context: SecurityContext | None = None
    volume_mounts: Annotated[tuple[VolumeMount, ...], Field(max_length=128), ListMap("name")] = ()


class PodSpecPatch(Model):
    """... of its pods."""

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
    """... of its pod template."""

    metadata: EmbeddedMetadata | None = None
    spec: PodSpecPatch | None = None


class JobSpecPatch(Model):
    """... of its Job."""

    template: PodTemplatePatch | None = None


class JobTemplatePatch(Model):
    """... of its Job template."""

    metadata: EmbeddedMetadata | None = None
    spec: JobSpecPatch | None = None


class ReplicatedJobPatch(Model):
    """... of one replicated job, by its name."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    template: JobTemplatePatch | None = None


class JobSetSpecPatch(Model):
    """... of the JobSet's jobs."""

    replicated_jobs: Annotated[tuple[ReplicatedJobPatch, ...], Field(max_length=100), ListMap("name")] = ()


class JobSetTemplatePatch(Model):
    """... of its JobSet."""

    metadata: EmbeddedMetadata | None = None
    spec: JobSetSpecPatch | None = None


class TrainingRuntimeSpecPatch(Model):
    """What a patch may change of the runtime."""

    template: JobSetTemplatePatch | None = None


class RuntimePatch(Model):
    """Changes that one manager lays over the runtime, for this job."""

    manager: Annotated[str, Field(min_length=1, max_length=253), IMMUTABLE]
    time: Timestamp | None = None
    training_runtime_spec: TrainingRuntimeSpecPatch | None = None
