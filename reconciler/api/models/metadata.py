"""Metadata of objects and templates, and references to objects.

A template's metadata is narrower than an object's: the CRDs prune everything but five fields.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from reconciler.api.models.base import Flag, Int64, Model, StringMap, Timestamp


class OwnerReference(Model):
    """The object that an object belongs to; a folder of manifests has no owners, so it is ignored."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: Flag | None = None
    block_owner_deletion: Flag | None = None


class ObjectMeta(Model):
    """Metadata of an object of its own, with the fields that a cluster writes (read, and ignored)."""

    name: str | None = None
    namespace: str | None = None
    labels: StringMap = Field(default_factory=dict)
    annotations: StringMap = Field(default_factory=dict)
    generate_name: str | None = None
    finalizers: tuple[str, ...] = ()
    uid: str | None = None
    generation: Int64 | None = None
    resource_version: str | None = None
    self_link: str | None = None
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    deletion_grace_period_seconds: Int64 | None = None
    owner_references: tuple[OwnerReference, ...] = ()
    managed_fields: tuple[dict[str, Any], ...] = ()


class EmbeddedMetadata(Model):
    """Metadata inside a template; name and namespace are carried, labels and annotations have effect."""

    name: str | None = None
    annotations: StringMap = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    labels: StringMap = Field(default_factory=dict)
    namespace: str | None = None


class LabelSelectorRequirement(Model):
    """One condition of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Model):
    """Selects objects by their labels; an empty selector selects all."""

    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    match_labels: StringMap = Field(default_factory=dict)


class LocalObjectReference(Model):
    """A reference to an object of the same namespace, by name."""

    name: str = ""


class TypedLocalObjectReference(Model):
    """A reference to an object of the same namespace, by kind and name."""

    name: str
    kind: str
    api_group: str | None = None


class TypedObjectReference(Model):
    """A reference to an object, by kind, namespace and name."""

    name: str
    kind: str
    api_group: str | None = None
    namespace: str | None = None
