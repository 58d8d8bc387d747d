"""Quantities written as bare fractions: read here (the SDK writes them), rejected by a cluster's CRDs.

The schema of a quantity in a CRD is *integer or string*: ``cpu: 0.5`` is neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from reconciler.api.field_paths import FieldPath

#: Fields whose value is a map of quantities.
_QUANTITY_MAPS: Final = frozenset({"limits", "requests", "capacity", "overhead"})
#: Fields whose value is a quantity.
_QUANTITIES: Final = frozenset({"sizeLimit", "divisor"})


def find_fractions(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, float]]:
    """Yields path and value of each quantity that is a float, anywhere in decoded data."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from find_fractions(inner, (*path, index))
    elif isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, float):
                if key in _QUANTITIES or (path and path[-1] in _QUANTITY_MAPS):
                    yield (*path, key), inner
            elif isinstance(inner, dict | list):
                yield from find_fractions(inner, (*path, key))
