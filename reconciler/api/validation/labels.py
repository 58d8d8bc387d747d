"""Labels and annotations as Kubernetes takes them, on objects and inside templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.api.field_paths import Path, parse, render
from reconciler.api.loading.schema_messages import shown
from reconciler.api.models.metadata import EmbeddedMetadata
from reconciler.api.name_syntax import label_key_problem, label_value_problem

_ANNOTATIONS_LIMIT: Final = 256 * 1024


def map_errors(metadata: Mapping[str, Any], base: Path) -> Iterator[tuple[Path, str]]:
    """Labels and annotations that Kubernetes refuses, in the metadata of an object or a template."""
    total = 0
    for field, check in (("labels", label_value_problem), ("annotations", None)):
        entries = metadata.get(field)
        for key, value in entries.items() if isinstance(entries, dict) else ():
            path: Path = (*base, field, key)
            lowered = key if field == "labels" else key.lower()
            if problem := label_key_problem(lowered):
                yield path, f"Invalid value: {shown(key)}: {problem}"
            if isinstance(value, str):
                total += len(key.encode()) + len(value.encode()) if check is None else 0
                if check is not None and (problem := check(value)):
                    yield path, f"Invalid value: {shown(value)}: {problem}"
    if total > _ANNOTATIONS_LIMIT:
        yield (*base, "annotations"), f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes in all"


def template_errors(metadata: EmbeddedMetadata | None, base: str) -> Iterator[tuple[str, str]]:
    """The same for a template's metadata; ``base`` is its path."""
    if metadata is not None:
        entries = {"labels": metadata.labels, "annotations": metadata.annotations}
        for path, message in map_errors(entries, parse(base)):
            yield render(path), message
