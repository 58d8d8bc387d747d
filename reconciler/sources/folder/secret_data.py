"""The values of Secrets and ConfigMaps, decoded to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.api.yaml_scalars import decode_base64

if TYPE_CHECKING:
    from reconciler.api import Document


def decode_secret(document: Document) -> dict[str, bytes]:
    """A Secret's values; ``stringData`` wins."""
    return _from_base64(document.raw.get("data")) | _from_text(document.raw.get("stringData"))


def decode_configmap(document: Document) -> dict[str, bytes]:
    """A ConfigMap's values."""
    return _from_text(document.raw.get("data")) | _from_base64(document.raw.get("binaryData"))


def _from_text(values: Any) -> dict[str, bytes]:
    return {str(k): str(v).encode() for k, v in values.items()} if isinstance(values, Mapping) else {}


def _from_base64(values: Any) -> dict[str, bytes]:
    decoded: dict[str, bytes] = {}
    for key, value in values.items() if isinstance(values, Mapping) else ():
        try:
            decoded[str(key)] = decode_base64(str(value))
        except ValueError:
            # Reported where the document was read; a reference to the key then finds none.
            continue
    return decoded
