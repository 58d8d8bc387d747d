"""The host's ledger: which job holds which devices, and how many jobs run.

All-or-nothing: a job gets everything it asks for or waits. What is held is in the records (``admitted``,
``devices``), so a restarted daemon knows it again; this is their sum, kept in memory for speed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.plan.types import InstancePlan, JobPlan
from reconciler.status.records import Record

Devices = dict[str, dict[str, tuple[str, ...]]]


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What admission said: the devices per instance and class, or why the job waits."""

    devices: Devices = field(default_factory=dict)
    waiting: str = ""


def wanted_devices(instance: InstancePlan) -> dict[str, int]:
    """Devices one instance needs: its containers run side by side, its init containers one at a time."""
    side_by_side: dict[str, int] = {}
    alone: dict[str, int] = {}
    for container in instance.containers:
        for kind, count in container.resources.devices.items():
            if container.kind == "init":
                alone[kind] = max(alone.get(kind, 0), count)
            else:
                side_by_side[kind] = side_by_side.get(kind, 0) + count
    return {k: max(side_by_side.get(k, 0), alone.get(k, 0)) for k in side_by_side | alone}


class Ledger:
    """Who holds what; thread-safe.

    Args:
        inventory: the devices the host has, by class; asked when something is requested.
        max_jobs: how many jobs may hold a place at once; None is no limit.
        on_release: called with every waiting key when something becomes free.
    """

    def __init__(
        self,
        *,
        inventory: Callable[[], Mapping[str, tuple[str, ...]]],
        max_jobs: int | None,
        on_release: Callable[[str], None],
    ) -> None:
        self._inventory = inventory
        self._max_jobs = max_jobs
        self._on_release = on_release
        self._lock = threading.Lock()
        self._held: dict[str, Devices] = {}
        self._waiting: dict[str, None] = {}

    def follow(self, record: Record) -> None:
        """Take over what a record says it holds; a job that holds nothing any more frees its share."""
        with self._lock:
            if record.admitted:
                self._held[record.key] = record.devices
                self._waiting.pop(record.key, None)
                return
            freed = self._held.pop(record.key, None) is not None
            if record.finished or record.suspended:
                self._waiting.pop(record.key, None)
            waiting = list(self._waiting) if freed else []
        for key in waiting:
            self._on_release(key)

    def drop(self, key: str) -> None:
        """A job is gone."""
        with self._lock:
            freed = self._held.pop(key, None) is not None
            self._waiting.pop(key, None)
            waiting = list(self._waiting) if freed else []
        for other in waiting:
            self._on_release(other)

    def admit(self, key: str, plan: JobPlan) -> Grant:
        """Give the job all it asks for, or a sentence about what it waits for.

        Jobs get their turn in the order they first asked; a later one passes an earlier only when it asks for
        nothing that the earlier one waits for.
        """
        needs = {i.name: wanted_devices(i) for i in plan.instances}
        total: dict[str, int] = {}
        for wanted in needs.values():
            for kind, count in wanted.items():
                total[kind] = total.get(kind, 0) + count
        total = {kind: count for kind, count in total.items() if count > 0}
        inventory = self._inventory() if total else {}
        with self._lock:
            if key in self._held:
                return Grant(devices=self._held[key])
            self._waiting.setdefault(key)
            position = list(self._waiting).index(key) + 1
            place = f"position {position} of {len(self._waiting)} in the queue"
            others = len(self._held)
            if self._max_jobs is not None and (
                others >= self._max_jobs or position > self._max_jobs - others
            ):
                return Grant(waiting=f"Waits for one of {self._max_jobs} places for jobs; {place}.")
            free = {kind: self._free(kind, inventory) for kind in total}
            short = [kind for kind, count in total.items() if count > len(free[kind])]
            if short:
                lacks = "; ".join(
                    f"{total[k]} {k} ({len(free[k])} free of {len(inventory.get(k, ()))})" for k in short
                )
                return Grant(waiting=f"Waits for {lacks}; {place}.")
            devices = _assign(needs, free)
            self._held[key] = devices
            self._waiting.pop(key)
            return Grant(devices=devices)

    def _free(self, kind: str, inventory: Mapping[str, tuple[str, ...]]) -> list[str]:
        taken = {
            index for job in self._held.values() for node in job.values() for index in node.get(kind, ())
        }
        return [index for index in inventory.get(kind, ()) if index not in taken]


def _assign(needs: Mapping[str, Mapping[str, int]], free: Mapping[str, list[str]]) -> Devices:
    pools = {kind: iter(names) for kind, names in free.items()}
    return {
        instance: {
            kind: tuple(next(pools[kind]) for _ in range(count)) for kind, count in wanted.items() if count
        }
        for instance, wanted in needs.items()
        if any(wanted.values())
    }
