"""Fields that may not change once an object exists: upstream's immutable fields.

Upstream's CRDs have the rule ``self == oldSelf`` for such a field; an API server checks it where both
versions have the field. A TrainJob's own fields may not be added or removed here either: a cluster accepts
such a change and ignores it, but a folder should not show what is not in effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.api.faults import IMMUTABLE_FIELD, Fault, Findings
from reconciler.api.field_paths import FieldPath, render
from reconciler.api.loading.document import Document
from reconciler.api.models.base import Immutable, ListMap, Model, to_manifest_name
from reconciler.api.models.runtime import Runtime
from reconciler.api.models.trainjob import TrainJob, TrainJobSpec


def check_update(old: Document | TrainJob | Runtime, new: Document, *, suspended: bool) -> list[Fault]:
    """Returns the faults of changing a TrainJob or a runtime from ``old`` to ``new``.

    Args:
        old: the old object, as a document or as a model (which records have).
        new: the new document.
        suspended: whether the old job was suspended; its patches may then change. They may also change where
            the new one is suspended: Kubernetes lets a controller patch and suspend in one request.

    Returns:
        One fault for each immutable field that differs, ``reason == IMMUTABLE_FIELD``; none for documents
        that are invalid or of other kinds.
    """
    before = old.model if isinstance(old, Document) else old
    after = new.model
    if isinstance(before, TrainJob) and isinstance(after, TrainJob):
        found = [*_compare_jobs(before, after, suspended=suspended)]
    elif isinstance(before, Runtime) and type(before) is type(after):
        found = [
            (path, f"Invalid value: {message}; make a runtime of another name for new jobs")
            for path, message in _compare(before.spec, after.spec, ("spec",))
        ]
    else:
        return []
    return [new.error(path, message, reason=IMMUTABLE_FIELD) for path, message in found]


def _compare_jobs(before: TrainJob, after: TrainJob, *, suspended: bool) -> Findings:
    remedy = "make a job of another name, or delete this one first"
    for field in _find_changed_fields(before.spec, after.spec):
        yield f"spec.{field}", f"Invalid value: {field}: field is immutable; {remedy}"
    if not (suspended or after.spec.suspend) and _get_patches(before) != _get_patches(after):
        yield (
            "spec.runtimePatches",
            (
                "Forbidden: RuntimePatches can only be modified when the TrainJob is suspended before "
                "or after the update; set spec.suspend: true first"
            ),
        )
    changes = _compare_items(before.spec, after.spec, "runtime_patches", ("spec", "runtimePatches"))
    for path, message in changes:
        yield path, f"Invalid value: {message}; {remedy}, or patch under another manager's name"


def _find_changed_fields(before: TrainJobSpec, after: TrainJobSpec) -> Iterator[str]:
    """Yields the names of immutable fields whose values differ, defaults included."""
    for attribute, info in TrainJobSpec.model_fields.items():
        if any(isinstance(mark, Immutable) for mark in info.metadata):
            old_value, new_value = getattr(before, attribute), getattr(after, attribute)
            if _with_defaults(old_value) != _with_defaults(new_value):
                yield to_manifest_name(attribute)


def _compare(before: Model, after: Model, path: FieldPath) -> Findings:
    """Yields a fault for each immutable field, at any depth, that both objects have and that differs."""
    for attribute, info in type(after).model_fields.items():
        old_value, new_value = getattr(before, attribute), getattr(after, attribute)
        if attribute not in before.model_fields_set & after.model_fields_set:
            continue
        here = (*path, to_manifest_name(attribute))
        mark = next((mark for mark in info.metadata if isinstance(mark, Immutable)), None)
        if mark is not None:
            if _with_defaults(old_value) != _with_defaults(new_value):
                yield render(here), f"{here[-1]}: {mark.message}"
        elif isinstance(old_value, Model) and isinstance(new_value, Model):
            yield from _compare(old_value, new_value, here)
        elif isinstance(new_value, tuple):
            yield from _compare_items(before, after, attribute, here)


def _compare_items(before: Model, after: Model, attribute: str, path: FieldPath) -> Findings:
    """Yields the same for the items of a list that is a map; the items of other lists have no identity."""
    metadata = type(after).model_fields[attribute].metadata
    by = next((mark for mark in metadata if isinstance(mark, ListMap)), None)
    if by is None:
        return
    old_items = {by.key_of(item): item for item in getattr(before, attribute)}
    for index, item in enumerate(getattr(after, attribute)):
        if (old_item := old_items.get(by.key_of(item))) is not None:
            yield from _compare(old_item, item, (*path, index))


def _with_defaults(value: Any) -> Any:
    """Returns the content with its defaults, so that writing a default out is no change."""
    if isinstance(value, tuple):
        return [_with_defaults(item) for item in value]
    return value.model_dump() if isinstance(value, Model) else value


def _get_patches(job: TrainJob) -> list[Any]:
    """Returns the patches without their times, which a cluster fills in."""
    return [patch.model_dump(exclude={"time"}) for patch in job.spec.runtime_patches]
