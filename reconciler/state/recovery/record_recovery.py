"""Recovers a lost record from the sidecar: enough that nothing finished runs again, and nothing runs twice.

And enough that the sidecar, written again from it, still says how a job ended whose containers are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from reconciler.state.record import Condition, ContainerRecord, ExitRecord, Failure, Record
from reconciler.state.record_events import EVENTS_KEPT, EventRecord
from reconciler.state.recovery.record_check import LARGEST_COUNT, check_record
from reconciler.state.sidecar_reader import NodeStatus, mappings_in, parse_nodes
from reconciler.state.timestamps import parse_time

#: Types of the conditions that are in a record; the others are built again while they hold.
RECORDED_CONDITIONS: Final = frozenset({"Suspended", "Complete", "Failed"})


def recover_record(document: Mapping[str, Any], *, why: str = "", now: float = 0.0) -> Record | None:
    """The record that a sidecar's document is a view of; None when it says too little, or what cannot be.

    The accepted manifest and the runtime's revision are not in it: they are taken from the folder again. What
    the containers' labels know is taken from them (:mod:`reconciler.controller.statemachine.adoption`).

    Args:
        document: of the job's sidecar.
        why: why the record was lost, where that is known.
        now: seconds since the epoch, of the event; 0: that of the last thing that the sidecar tells.
    """
    metadata, status = document.get("metadata"), document.get("status")
    if not isinstance(metadata, Mapping) or not isinstance(status, Mapping):
        return None
    uid, name = metadata.get("uid"), metadata.get("name")
    created = parse_time(metadata.get("creationTimestamp"))
    if not isinstance(uid, str) or not isinstance(name, str) or not uid or created is None:
        return None
    parsed = (_condition(raw) for raw in mappings_in(status.get("conditions")))
    conditions = tuple(c for c in parsed if c.type in RECORDED_CONDITIONS)
    suspended = next((c for c in conditions if c.type == "Suspended"), None)
    resumed = suspended.at if suspended is not None and suspended.status == "False" else None
    finished_at = parse_time(status.get("completionTime"))
    trainer_status = status.get("trainerStatus")
    events = tuple(e for raw in mappings_in(status.get("events")) if (e := _event(raw)) is not None)
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
        clock_from=finished_at or resumed or created,
        suspended=suspended is not None and suspended.status == "True",
        started_at=parse_time(status.get("startTime")),
        finished_at=finished_at,
        conditions=conditions,
        rerun=str(status.get("rerun") or ""),
        trainer_status=dict(trainer_status) if isinstance(trainer_status, Mapping) else {},
        steps_done=_steps_done(status),
        failure=_failure(status.get("failure")),
        events=events[-EVENTS_KEPT:],
        recovered=True,
    )
    if record.finished:
        record = record.replace(**_container_fields(status))
    else:
        # One that was renamed by hand is known by its id.
        ids = tuple(n.container_id for n in parse_nodes(status) if n.container_id)
        record = record.replace(earlier_ids=ids)
    if check_record(record.key, record, now=created):
        return None
    latest = max((now, created, *(event.at for event in record.events)))
    reason = f" ({why})" if why else ""
    return record.with_event("Recovered", f"The job's record was lost{reason}; it was recovered.", now=latest)


def _container_fields(status: Mapping[str, Any]) -> dict[str, Any]:
    """The fields about containers of a finished job; those of a running one are observed instead."""
    nodes = [node for node in parse_nodes(status) if node.name]
    network = status.get("network")
    subnet = network.get("subnet") if isinstance(network, Mapping) else None
    return {
        "containers": {PurePosixPath(n.log).stem or n.name: _container(n) for n in nodes},
        "devices": {n.name: devices for n in nodes if (devices := _devices(n.devices))},
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


def _devices(text: str) -> dict[str, tuple[str, ...]]:
    """Devices per class, from ``nvidia.com/gpu=0 nvidia.com/gpu=1``."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in text.split():
        kind, equals, index = entry.rpartition("=")
        if equals:
            found[kind] = (*found.get(kind, ()), index)
    return found


def _failure(raw: Any) -> Failure | None:
    if not isinstance(raw, Mapping) or not raw.get("step") or not raw.get("container"):
        return None
    rank, code, log = _whole(raw.get("rank"), -1), raw.get("exitCode"), raw.get("log")
    return Failure(
        attempt=_whole(raw.get("attempt"), 0),
        step=str(raw.get("step")),
        container=str(raw.get("container")),
        rank=rank if rank >= 0 else None,
        code=code if isinstance(code, int) else None,
        reason=str(raw.get("reason") or ""),
        message=str(raw.get("message") or ""),
        at=parse_time(raw.get("time")) or 0.0,
        log=tuple(str(line) for line in log) if isinstance(log, list) else (),
    )


def _event(raw: Mapping[str, Any]) -> EventRecord | None:
    if (at := parse_time(raw.get("time"))) is None:
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
    counts = mappings_in(status.get("jobsStatus"))
    done = {str(c.get("name")): "succeeded" for c in counts if c.get("succeeded")}
    return done | {str(c.get("name")): "failed" for c in counts if c.get("failed")}


def _condition(raw: Mapping[str, Any]) -> Condition:
    return Condition(
        type=str(raw.get("type") or ""),
        status=str(raw.get("status")),
        reason=str(raw.get("reason", "")),
        message=str(raw.get("message", "")),
        at=parse_time(raw.get("lastTransitionTime")) or 0.0,
    )


def _whole(value: Any, default: int) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= LARGEST_COUNT else default
