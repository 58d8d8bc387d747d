"""What may not change once an object is there: upstream's immutable fields.

Upstream's CRDs say ``self == oldSelf`` of a field; an API server checks it where the field was there before
and is there now. Of a TrainJob's own fields this project refuses adding and removing as well: a cluster
takes such a change and ignores it, and a folder should not say what is not so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from reconciler.api.faults import Fault
from reconciler.api.field_paths import Path, render
from reconciler.api.loading.document import Document
from reconciler.api.models.base import Immutable, ListMap, Model, manifest_name
from reconciler.api.models.runtime import ClusterTrainingRuntime, TrainingRuntime
from reconciler.api.models.trainjob import TrainJob, TrainJobSpec

IMMUTABLE_FIELD: Final = "ImmutableField"

_Subject = TrainJob | ClusterTrainingRuntime | TrainingRuntime


def check_update(old: Document | _Subject, new: Document, *, suspended: bool) -> list[Fault]:
    """Faults of changing a TrainJob or a runtime from ``old`` to ``new``.

    Args:
        old: the object as it was, its document or its model (as a record keeps it).
        new: its document as it is now.
        suspended: whether the old job was suspended; its patches may then change. They may change, too, where
            the new one is: Kubernetes lets a controller patch and suspend in one request.

    Returns:
        One fault for each immutable field that differs, ``reason == IMMUTABLE_FIELD``; nothing for documents
        that are invalid or of other kinds.
    """
    before = old.model if isinstance(old, Document) else old
    after = new.model
    if isinstance(before, TrainJob) and isinstance(after, TrainJob):
        found = [*_job(before, after, suspended=suspended)]
    elif isinstance(before, ClusterTrainingRuntime | TrainingRuntime) and type(before) is type(after):
        found = [
            (path, f"Invalid value: {message}; make a runtime of another name for new jobs")
            for path, message in _transitions(before.spec, after.spec, ("spec",))
        ]
    else:
        return []
    return [new.error(path, message, reason=IMMUTABLE_FIELD) for path, message in found]


def _job(before: TrainJob, after: TrainJob, *, suspended: bool) -> Iterator[tuple[str, str]]:
    remedy = "make a job of another name, or delete this one first"
    for field in _changed(before.spec, after.spec):
        yield f"spec.{field}", f"Invalid value: {field}: field is immutable; {remedy}"
    if not (suspended or after.spec.suspend) and _patches(before) != _patches(after):
        yield (
            "spec.runtimePatches",
            (
                "Forbidden: RuntimePatches can only be modified when the TrainJob is suspended before "
                "or after the update; set spec.suspend: true first"
            ),
        )
    field = "runtime_patches"
    listed = _listed(before.spec, after.spec, field, ("spec", manifest_name(field)))
    for path, message in listed:
        yield path, f"Invalid value: {message}; {remedy}, or patch under another manager's name"


def _changed(before: TrainJobSpec, after: TrainJobSpec) -> Iterator[str]:
    """Manifest names of immutable fields whose values differ, defaults filled in."""
    for attribute, info in TrainJobSpec.model_fields.items():
        if any(isinstance(mark, Immutable) for mark in info.metadata):
            old_value, new_value = getattr(before, attribute), getattr(after, attribute)
            if _plain(old_value) != _plain(new_value):
                yield manifest_name(attribute)


def _transitions(before: Model, after: Model, path: Path) -> Iterator[tuple[str, str]]:
    """Immutable fields, at any depth, that are in both objects and differ."""
    for attribute, info in type(after).model_fields.items():
        old_value, new_value = getattr(before, attribute), getattr(after, attribute)
        if {attribute} - before.model_fields_set or {attribute} - after.model_fields_set:
            continue
        here = (*path, manifest_name(attribute))
        mark = next((mark for mark in info.metadata if isinstance(mark, Immutable)), None)
        if mark is not None:
            if _plain(old_value) != _plain(new_value):
                yield render(here), f"{here[-1]}: {mark.message}"
        elif isinstance(old_value, Model) and isinstance(new_value, Model):
            yield from _transitions(old_value, new_value, here)
        elif isinstance(new_value, tuple):
            yield from _listed(before, after, attribute, here)


def _listed(before: Model, after: Model, attribute: str, path: Path) -> Iterator[tuple[str, str]]:
    """The same for the items of a list that is a map; the items of other lists have no identity."""
    metadata = type(after).model_fields[attribute].metadata
    by = next((mark for mark in metadata if isinstance(mark, ListMap)), None)
    if by is None:
        return
    old_items = {by.key_of(item): item for item in getattr(before, attribute)}
    for index, item in enumerate(getattr(after, attribute)):
        if (old_item := old_items.get(by.key_of(item))) is not None:
            yield from _transitions(old_item, item, (*path, index))


def _plain(value: Any) -> Any:
    """Content with its defaults, so that writing a default out is no change."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.model_dump() if isinstance(value, Model) else value


def _patches(job: TrainJob) -> list[Any]:
    """The patches without their times, which a cluster fills in."""
    return [patch.model_dump(exclude={"time"}) for patch in job.spec.runtime_patches]
