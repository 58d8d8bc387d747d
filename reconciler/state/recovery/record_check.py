"""Whether a record can be the one that it is stored as: by its key, and by the ranges of its numbers. Pure.

A record that cannot (two were swapped, one was copied or edited, a disk is broken) would have a job wait for
ever, act on another job's containers, or fail at each pass. It counts as lost.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from reconciler.state.record import Record
from reconciler.state.timestamps import LATEST_MOMENT

#: Seconds; the longest back-off is minutes, and a clock may have been set.
LONGEST_WAIT: Final = 30 * 86_400.0
LARGEST_COUNT: Final = 2**31 - 1
_UID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_COUNTS: Final = frozenset(
    {
        "attempt",
        "count",
        "counted_restarts",
        "failures",
        "generation",
        "index",
        "observed_generation",
        "rank",
        "restart",
        "restarts",
    }
)
_COUNTS_BY_STEP: Final = ("step_restarts", "counted_step_restarts", "step_failures")
#: Floats that are no moments: shares of the host.
_AMOUNTS: Final = frozenset({"share"})
_DONE: Final = frozenset({"succeeded", "failed"})


def check_record(key: str, record: Record, *, now: float) -> str:
    """Returns why the record cannot be the one of this key, for a sentence; "" where it can.

    Args:
        key: ``namespace/name`` under which it is stored.
        record: as it was read.
        now: seconds since the epoch. A moment in the future alone is no fault: clocks are set.
    """
    return next(_find_faults(key, record, now), "")


def _find_faults(key: str, record: Record, now: float) -> Iterator[str]:
    if record.key != key:
        yield f"it is the record of {record.key!r}"
    if not _UID.fullmatch(record.uid):
        yield "its uid is none"
    yield from _check_job(record)
    yield from _check_numbers(record, "")
    yield from _check_waits(record, now)
    yield from _check_network(record)
    if "\0" in record.file:
        yield "its file has no valid path"
    if not set(record.steps_done.values()) <= _DONE:
        yield "a step of it is neither succeeded nor failed"


def _check_job(record: Record) -> Iterator[str]:
    """Yields whether the manifest and the runtime in it are others than its own, or none."""
    if record.job:
        metadata = record.job.get("metadata")
        named = metadata if isinstance(metadata, Mapping) else {}
        if record.job.get("kind") != "TrainJob" or not isinstance(record.job.get("spec"), Mapping):
            yield "the manifest in it is no TrainJob"
        elif (named.get("name"), named.get("namespace") or record.namespace) != (
            record.name,
            record.namespace,
        ):
            yield f"the manifest in it is that of {named.get('namespace')}/{named.get('name')}"
    if record.runtime and not isinstance(record.runtime.get("spec"), Mapping):
        yield "the runtime in it is none"


def _check_numbers(value: Any, field: str) -> Iterator[str]:
    """Yields moments that are none, and counts below zero, wherever they are in the record."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            if name not in ("job", "runtime", "seen_spec", "trainer_status", "devices"):
                yield from _check_numbers(getattr(value, name), name)
    elif isinstance(value, Mapping):
        inner = "count" if field in _COUNTS_BY_STEP else field
        for item in value.values():
            yield from _check_numbers(item, inner)
    elif isinstance(value, tuple):
        for item in value:
            yield from _check_numbers(item, field)
    elif isinstance(value, float):
        if not (math.isfinite(value) and value >= 0) or (value > LATEST_MOMENT and field not in _AMOUNTS):
            yield f"its {field} is {value:g}"
    elif isinstance(value, int) and field in _COUNTS and not 0 <= value <= LARGEST_COUNT:
        yield f"its {field} is out of range"


def _check_waits(record: Record, now: float) -> Iterator[str]:
    """Yields waits that no back-off makes, seen from now and from the latest moment that the record knows."""
    known = [record.created_at, record.clock_from, record.started_at or 0.0, record.finished_at or 0.0]
    known += [event.at for event in record.events] + [condition.at for condition in record.conditions]
    latest = max(now, *known) + LONGEST_WAIT
    waits = {
        "attempt_not_before": record.attempt_not_before,
        "problem's retry_at": record.problem.retry_at if record.problem is not None else 0.0,
        **{f"not_before of {name}": c.not_before for name, c in record.containers.items()},
    }
    for name, moment in waits.items():
        if moment > latest:
            yield f"its {name} is {(moment - latest) / 86_400:.0f} days away"


def _check_network(record: Record) -> Iterator[str]:
    if record.port is not None and not 0 < record.port < 65_536:
        yield "its port is out of range"
    try:
        if record.subnet:
            ipaddress.ip_network(record.subnet, strict=False)
        if record.gateway:
            ipaddress.ip_address(record.gateway)
    except ValueError:
        yield "its network has no valid addresses"
