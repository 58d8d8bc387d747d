"""A lost record, got back from the sidecar: enough that nothing finished runs again, nothing twice.

And enough that the sidecar, written anew from it, still tells how a job ended, whose containers are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Final

from reconciler.state.record import (
    EVENTS_KEPT,
    Condition,
    ContainerRecord,
    EventRecord,
    ExitRecord,
    Failure,
    Record,
)
from reconciler.state.sidecar_reader import NodeStatus, nodes_of

#: Types of the conditions that a record has.
OWN: Final = frozenset({"Suspended", "Complete", "Failed"})


def recover(document: Mapping[str, Any]) -> Record | None:
    """The record that a sidecar's document is a view of; None when it tells too little.

    The accepted manifest and the runtime's snapshot are not in it: they are taken anew. What the containers'
    labels know is taken from them (:mod:`reconciler.controller.statemachine.adoption`).
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
        failure=_failure(status.get("failure")),
        events=tuple(e for raw in _list(status.get("events")) if (e := _event(raw)) is not None)[
            -EVENTS_KEPT:
        ],
        recovered=True,
    )
    if record.finished:
        record = record.model_copy(update=_of_containers(status))
    latest = max((created, *(event.at for event in record.events)))
    return record.with_event("Recovered", "The job's record was lost; it was recovered.", now=latest)


def _of_containers(status: Mapping[str, Any]) -> dict[str, Any]:
    """What a finished job's containers were; those of one that goes on are looked at instead."""
    nodes = [node for node in nodes_of(status) if node.name]
    network = status.get("network")
    subnet = network.get("subnet") if isinstance(network, Mapping) else None
    return {
        "containers": {PurePosixPath(n.log).stem or n.name: _container(n) for n in nodes},
        "devices": {n.name: held for n in nodes if (held := _devices(n.devices))},
        "subnet": subnet if isinstance(subnet, str) else "",
    }


def _container(node: NodeStatus) -> ContainerRecord:
    ended = node.state == "exited" or node.exit_code is not None
    result = ExitRecord(code=node.exit_code, message=node.message, finished_at=node.finished_at or 0.0)
    return ContainerRecord(
        restart=node.restarts,
        container_id=node.container_id,
        ip=node.ip,
        result=result if node.state == "exited" else None,
        last_result=result if ended else None,
        started_at=node.started_at,
    )


def _devices(told: str) -> dict[str, tuple[str, ...]]:
    """Per class, of ``nvidia.com/gpu=0 nvidia.com/gpu=1``."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in told.split():
        kind, equals, index = entry.rpartition("=")
        if equals:
            found[kind] = (*found.get(kind, ()), index)
    return found


def _failure(raw: Any) -> Failure | None:
    if not isinstance(raw, Mapping) or not raw.get("step") or not raw.get("container"):
        return None
    rank, code = raw.get("rank"), raw.get("exitCode")
    return Failure(
        attempt=_whole(raw.get("attempt"), 0),
        step=str(raw.get("step")),
        container=str(raw.get("container")),
        rank=rank if isinstance(rank, int) else None,
        code=code if isinstance(code, int) else None,
        reason=str(raw.get("reason") or ""),
        message=str(raw.get("message") or ""),
        at=_seconds(raw.get("time")) or 0.0,
        log=tuple(str(line) for line in _list(raw.get("log"))),
    )


def _event(raw: Any) -> EventRecord | None:
    if not isinstance(raw, Mapping) or (at := _seconds(raw.get("time"))) is None:
        return None
    return EventRecord(
        at=at,
        type="Warning" if raw.get("type") == "Warning" else "Normal",
        reason=str(raw.get("reason") or ""),
        message=str(raw.get("message") or ""),
        count=max(1, _whole(raw.get("count"), 1)),
    )


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
