"""A lost record, got back from the sidecar: enough that nothing finished runs again, nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from reconciler.status.records import Condition, Record

#: Types of the conditions that a record has.
OWN: Final = frozenset({"Suspended", "Complete", "Failed"})


def recover(document: Mapping[str, Any]) -> Record | None:
    """The record that a sidecar's document is a view of; None when it tells too little.

    The accepted manifest and the runtime's snapshot are not in it: they are taken anew. What the containers'
    labels know is taken from them (:mod:`reconciler.controller.adopting`).
    """
    metadata, status = document.get("metadata"), document.get("status")
    if not isinstance(metadata, Mapping) or not isinstance(status, Mapping):
        return None
    uid, name = metadata.get("uid"), metadata.get("name")
    created = _seconds(metadata.get("creationTimestamp"))
    if not isinstance(uid, str) or not isinstance(name, str) or not uid or created is None:
        return None
    told = (_condition(raw) for raw in _list(status.get("conditions")))
    # The others are not the record's: they are told anew while they hold.
    conditions = tuple(c for c in told if c is not None and c.type in OWN)
    suspended = next((c for c in conditions if c.type == "Suspended"), None)
    resumed = suspended.at if suspended is not None and suspended.status == "False" else None
    reported = status.get("trainerStatus")
    record = Record(
        namespace=str(metadata.get("namespace") or "default"),
        name=name,
        uid=uid,
        created_at=created,
        generation=_whole(metadata.get("generation"), 1),
        observed_generation=_whole(status.get("observedGeneration"), 0),
        attempt=_whole(status.get("attempt"), 0),
        restarts=_whole(status.get("restarts"), 0),
        counted_restarts=_whole(status.get("restarts"), 0),
        clock_from=_seconds(status.get("completionTime")) or resumed or created,
        suspended=suspended is not None and suspended.status == "True",
        started_at=_seconds(status.get("startTime")),
        finished_at=_seconds(status.get("completionTime")),
        conditions=conditions,
        rerun=str(status.get("rerun") or ""),
        trainer_status=dict(reported) if isinstance(reported, Mapping) else {},
        steps_done=_steps_done(status),
        recovered=True,
    )
    return record.with_event("Recovered", "The job's record was lost; it was recovered.", now=created)


def _steps_done(status: Mapping[str, Any]) -> dict[str, str]:
    """Steps that need not run again."""
    counts = [c for c in _list(status.get("jobsStatus")) if isinstance(c, Mapping)]
    done = {str(c.get("name")): "succeeded" for c in counts if c.get("succeeded")}
    return done | {str(c.get("name")): "failed" for c in counts if c.get("failed")}


def _condition(raw: Any) -> Condition | None:
    if not isinstance(raw, Mapping) or not raw.get("type"):
        return None
    return Condition(
        type=str(raw.get("type")),
        status=str(raw.get("status")),
        reason=str(raw.get("reason", "")),
        message=str(raw.get("message", "")),
        at=_seconds(raw.get("lastTransitionTime")) or 0.0,
    )


def _seconds(text: Any) -> float | None:
    if isinstance(text, datetime):
        return text.timestamp()
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None


def _whole(value: Any, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
