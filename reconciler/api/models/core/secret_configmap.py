"""Secret and ConfigMap: the only kinds of the core group that jobs take values from."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from reconciler.api.loading.scalars import from_base64
from reconciler.api.models.base import Flag, Model, StringMap
from reconciler.api.models.metadata import ObjectMeta

#: Type of the error; its message must not show the value.
NOT_BASE64: Final = "base64"


def _base64(value: str) -> str:
    try:
        from_base64(value)
    except ValueError:
        remedy = "encode it (base64 -w0), or write it as it is under stringData (of a ConfigMap: data)"
        raise PydanticCustomError(NOT_BASE64, f"must be base64; {remedy}") from None
    return value


Base64Map = dict[str, Annotated[str, AfterValidator(_base64)]]


class Secret(Model):
    """Keys and values; ``data`` in base64, ``stringData`` as it is (which wins)."""

    api_version: Literal["v1"]
    kind: Literal["Secret"]
    metadata: ObjectMeta
    type: str | None = None
    data: Base64Map = Field(default_factory=dict)
    string_data: StringMap = Field(default_factory=dict)
    immutable: Flag | None = None


class ConfigMap(Model):
    """Keys and values; ``binaryData`` in base64."""

    api_version: Literal["v1"]
    kind: Literal["ConfigMap"]
    metadata: ObjectMeta
    data: StringMap = Field(default_factory=dict)
    binary_data: Base64Map = Field(default_factory=dict)
    immutable: Flag | None = None
