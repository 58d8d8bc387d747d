"""Secret and ConfigMap, the kinds from which jobs take values and files."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from reconciler.api.models.base import Flag, Model, StringMap
from reconciler.api.models.metadata import ObjectMeta
from reconciler.api.yaml_scalars import decode_base64

#: pydantic error type; its message must not show the value.
NOT_BASE64: Final = "base64"


def _validate_base64(value: str) -> str:
    try:
        decode_base64(value)
    except ValueError:
        remedy = "encode it (base64 -w0), or write it as it is under stringData (of a ConfigMap: data)"
        raise PydanticCustomError(NOT_BASE64, f"must be base64; {remedy}") from None
    return value


Base64Map = dict[str, Annotated[str, AfterValidator(_validate_base64)]]


class Secret(Model):
    """Keys and values; ``data`` in base64, ``stringData`` as plain text, which wins."""

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
