"""Rules of Kubernetes for labels and annotations, on objects and inside templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciler.api.faults import Findings, format_value
from reconciler.api.field_paths import FieldPath, parse, render
from reconciler.api.models.metadata import EmbeddedMetadata
from reconciler.api.name_syntax import validate_label_key, validate_label_value
from reconciler.common.mappings import mapping_at

_ANNOTATIONS_LIMIT: Final = 256 * 1024


def check_labels(metadata: Mapping[str, Any], base: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    """Yields a fault for each invalid label and annotation; ``metadata`` is decoded, ``base`` its path."""
    labels, annotations = mapping_at(metadata, "labels"), mapping_at(metadata, "annotations")
    for key, value in labels.items():
        path: FieldPath = (*base, "labels", key)
        if problem := validate_label_key(key):
            yield path, f"Invalid value: {format_value(key)}: {problem}"
        if isinstance(value, str) and (problem := validate_label_value(value)):
            yield path, f"Invalid value: {format_value(value)}: {problem}"
    for key in annotations:
        if problem := validate_label_key(key.lower()):
            yield (*base, "annotations", key), f"Invalid value: {format_value(key)}: {problem}"
    total = sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items() if isinstance(v, str))
    if total > _ANNOTATIONS_LIMIT:
        yield (*base, "annotations"), f"Too long: may not be more than {_ANNOTATIONS_LIMIT} bytes in all"


def check_template_labels(metadata: EmbeddedMetadata | None, base: str) -> Findings:
    """Yields the same faults for the metadata of a template at the path ``base``."""
    if metadata is not None:
        entries = {"labels": metadata.labels, "annotations": metadata.annotations}
        for path, message in check_labels(entries, parse(base)):
            yield render(path), message
