"""Quantities written as bare fractions: read here (the SDK writes them), refused by a cluster's CRDs.

The schema of a quantity in a CRD is *integer or string*: ``cpu: 0.5`` is neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from reconciler.api.field_paths import Path

_LISTS: Final = frozenset({"limits", "requests", "capacity", "overhead"})
_SINGLE: Final = frozenset({"sizeLimit", "divisor"})


def fractions(value: Any, path: Path = ()) -> Iterator[tuple[Path, float]]:
    """Path and value of each quantity that is a float, anywhere in decoded data."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from fractions(inner, (*path, index))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, float):
                if key in _SINGLE or (path and path[-1] in _LISTS):
                    yield (*path, key), inner
            elif isinstance(inner, dict | list):
                yield from fractions(inner, (*path, key))
