"""Secret and ConfigMap: the only kinds of the core group that jobs take values from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reconciler.api.base import Flag, Model, StringMap
from reconciler.api.metadata import ObjectMeta


class Secret(Model):
    """Keys and values; ``data`` in base64, ``stringData`` as it is (which wins)."""

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    metadata: ObjectMeta
    type: str | None = None
    data: StringMap = Field(default_factory=dict)
    string_data: StringMap = Field(default_factory=dict)
    immutable: Flag | None = None


class ConfigMap(Model):
    """Keys and values; ``binaryData`` in base64."""

    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    metadata: ObjectMeta
    data: StringMap = Field(default_factory=dict)
    binary_data: StringMap = Field(default_factory=dict)
    immutable: Flag | None = None
