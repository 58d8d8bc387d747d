"""What may not change once a TrainJob is there: upstream's immutable fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.api.base import Immutable, Model, manifest_name
from reconciler.api.documents import Document
from reconciler.api.faults import Fault
from reconciler.api.trainjobs import TrainJob, TrainJobSpec

IMMUTABLE_FIELD = "ImmutableField"


def check_update(old: Document | TrainJob, new: Document, *, suspended: bool) -> list[Fault]:
    """Faults of changing a TrainJob from ``old`` to ``new``.

    Args:
        old: the job as it was, its document or its model (as a record keeps it).
        new: the job's document as it is now.
        suspended: whether the old one was suspended; its patches may then change. They may change, too, where
            the new one is: Kubernetes lets a controller patch and suspend in one request.

    Returns:
        One fault for each immutable field that differs, ``reason == IMMUTABLE_FIELD``; nothing for documents
        that are no valid TrainJobs.
    """
    before = old.model if isinstance(old, Document) else old
    after = new.model
    if not isinstance(before, TrainJob) or not isinstance(after, TrainJob):
        return []
    faults = [
        new.error(f"spec.{field}", _message(field), reason=IMMUTABLE_FIELD)
        for field in _changed(before.spec, after.spec)
    ]
    if not (suspended or after.spec.suspend) and _patches(before) != _patches(after):
        message = (
            "Forbidden: RuntimePatches can only be modified when the TrainJob is suspended before "
            "or after the update; set spec.suspend: true first"
        )
        faults.append(new.error("spec.runtimePatches", message, reason=IMMUTABLE_FIELD))
    return faults


def _message(field: str) -> str:
    return f"Invalid value: {field}: field is immutable; make a job of another name, or delete this one first"


def _changed(before: TrainJobSpec, after: TrainJobSpec) -> Iterator[str]:
    """Manifest names of immutable fields whose values differ, defaults filled in."""
    for attribute, info in TrainJobSpec.model_fields.items():
        if any(isinstance(mark, Immutable) for mark in info.metadata):
            old_value, new_value = getattr(before, attribute), getattr(after, attribute)
            if _plain(old_value) != _plain(new_value):
                yield manifest_name(attribute)


def _plain(value: Any) -> Any:
    """A model's content with its defaults, so that writing a default out is no change."""
    return value.model_dump() if isinstance(value, Model) else value


def _patches(job: TrainJob) -> list[Any]:
    """The patches without their times, which a cluster fills in."""
    return [patch.model_dump(exclude={"time"}) for patch in job.spec.runtime_patches]
