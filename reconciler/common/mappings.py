"""Mappings inside data that anybody may have written. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping_at(value: Any, *keys: str) -> Mapping[str, Any]:
    """Returns the mapping at the end of the keys; empty where a key is missing or holds something else."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
