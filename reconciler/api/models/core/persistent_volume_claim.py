"""PersistentVolumeClaims in templates."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reconciler.api.models.base import ListMap, Model, ResourceList, StringMap, Timestamp
from reconciler.api.models.metadata import (
    EmbeddedMetadata,
    LabelSelector,
    TypedLocalObjectReference,
    TypedObjectReference,
)


class VolumeResourceRequirements(Model):
    """How much storage is claimed."""

    limits: ResourceList = Field(default_factory=dict)
    requests: ResourceList = Field(default_factory=dict)


class PersistentVolumeClaimSpec(Model):
    """What storage is claimed."""

    access_modes: tuple[str, ...] = ()
    data_source: TypedLocalObjectReference | None = None
    data_source_ref: TypedObjectReference | None = None
    resources: VolumeResourceRequirements | None = None
    selector: LabelSelector | None = None
    storage_class_name: str | None = None
    volume_attributes_class_name: str | None = None
    volume_mode: str | None = None
    volume_name: str | None = None


class PersistentVolumeClaimTemplate(Model):
    """The claim of an ephemeral volume."""

    spec: PersistentVolumeClaimSpec
    metadata: EmbeddedMetadata | None = None


class PersistentVolumeClaimCondition(Model):
    """One condition of a claim; ignored."""

    status: str
    type: str
    last_probe_time: Timestamp | None = None
    last_transition_time: Timestamp | None = None
    message: str | None = None
    reason: str | None = None


class ModifyVolumeStatus(Model):
    """Progress of a claim's change; ignored."""

    status: str
    target_volume_attributes_class_name: str | None = None


class PersistentVolumeClaimStatus(Model):
    """The state of a claim as a cluster writes it; ignored."""

    access_modes: tuple[str, ...] = ()
    allocated_resource_statuses: StringMap = Field(default_factory=dict)
    allocated_resources: ResourceList = Field(default_factory=dict)
    capacity: ResourceList = Field(default_factory=dict)
    conditions: Annotated[tuple[PersistentVolumeClaimCondition, ...], ListMap("type")] = ()
    current_volume_attributes_class_name: str | None = None
    modify_volume_status: ModifyVolumeStatus | None = None
    phase: str | None = None


class PersistentVolumeClaim(Model):
    """A claim, as the template of a volume per job."""

    api_version: str | None = None
    kind: str | None = None
    metadata: EmbeddedMetadata | None = None
    spec: PersistentVolumeClaimSpec | None = None
    status: PersistentVolumeClaimStatus | None = None
