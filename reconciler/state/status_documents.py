"""Status documents that need neither plan nor engine, and the frame that all of them share. Pure.

The status of a job that is worked on is built by :mod:`reconciler.controller.status.status_builder`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.api.faults import Fault
from reconciler.names import API_VERSION, RUNTIME_NOT_SUPPORTED
from reconciler.state.record import Record
from reconciler.state.timestamps import format_time


def status_document(
    kind: str, namespace: str, name: str, status: dict[str, Any], *, record: Record | None = None
) -> dict[str, Any]:
    """Frame a status as one object's document of a sidecar."""
    metadata: dict[str, Any] = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if record is not None:
        metadata |= {
            "uid": record.uid,
            "generation": record.generation,
            "creationTimestamp": format_time(record.created_at),
        }
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": status}


def pending_document(namespace: str, name: str) -> dict[str, Any]:
    """Build the document of a job that nothing is known about yet."""
    return status_document("TrainJob", namespace, name, {"phase": "Pending", "message": "", "conditions": []})


def invalid_document(
    kind: str, namespace: str, name: str, faults: Sequence[Fault], *, now: float = 0.0
) -> dict[str, Any]:
    """Build the document of an object that cannot be used as it is.

    A job whose runtime is of a kind that nothing here runs has upstream's Failed condition
    (``TrainingRuntimeNotSupported``, pkg/controller/trainjob_controller.go); other faults never get past
    upstream's admission, so they have none.
    """
    unsupported = [f for f in faults if f.reason == RUNTIME_NOT_SUPPORTED]
    status: dict[str, Any] = {
        "phase": "Invalid",
        "message": faults[0].message if faults else "",
        "conditions": [
            {
                "type": "Failed",
                "status": "True",
                "reason": RUNTIME_NOT_SUPPORTED,
                "message": f.message,
                "lastTransitionTime": format_time(now),
            }
            for f in unsupported[:1]
        ],
        "errors": error_entries(faults),
        "events": [],
    }
    return status_document(kind, namespace, name, status)


def with_condition(
    conditions: Sequence[Mapping[str, Any]], kind: str, reason: str, message: str, *, now: float
) -> list[dict[str, Any]]:
    """Render conditions with one that is True added, or changed; it keeps the time at which it became so."""
    before = next((c for c in conditions if c.get("type") == kind), None)
    condition = {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": before["lastTransitionTime"] if before is not None else format_time(now),
    }
    return [*(dict(c) for c in conditions if c.get("type") != kind), condition]


def error_entries(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    """Render faults as ``status.errors``."""
    return [{"file": f.file, "line": f.line, "path": f.path, "message": f.message} for f in faults]
