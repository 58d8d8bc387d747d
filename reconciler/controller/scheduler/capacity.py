"""The host's ledger: which job holds what, and who waits for it.

What is held is in the records (``admitted``, ``share``, ``devices``), so a restarted daemon knows it again;
this is their sum, kept in memory for speed. :mod:`reconciler.controller.scheduler.admission_queue` decides, here is booked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.controller.scheduler.admission_queue import (
    CPUS,
    MEMORY,
    Ask,
    Holder,
    amounts_of,
    judge_queue,
    pod_amounts,
    victims_for,
)
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record

Devices = dict[str, dict[str, tuple[str, ...]]]


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What admission said: the share and the devices per pod and class, or why the job waits for it."""

    share: dict[str, float] = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)
    waiting: str = ""


@dataclass(frozen=True, kw_only=True)
class _Held:
    share: Mapping[str, float]
    devices: Devices
    priority: int
    since: float


class Ledger:
    """Who holds what; thread-safe.

    Args:
        inventory: the devices the host has, by class; asked when a device is requested.
        capacity: the host's ``cpu`` and ``memory`` (bytes); 0 or missing is unknown, and not enforced.
        max_jobs: how many jobs may hold a share at once; None is no limit.
        on_release: called with every waiting key when something becomes free, and with those that are
            to make room.
        preempt: whether a job may have others of lower priority make room.
    """

    def __init__(
        self,
        *,
        inventory: Callable[[], Mapping[str, tuple[str, ...]]],
        max_jobs: int | None,
        on_release: Callable[[str], None],
        capacity: Callable[[], Mapping[str, float]] = dict,
        preempt: bool = False,
    ) -> None:
        self._inventory = inventory
        self._capacity = capacity
        self._max_jobs = max_jobs
        self._on_release = on_release
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._waiting: dict[str, Ask] = {}
        self._preempt = preempt
        self._making_room: dict[str, str] = {}

    def reconfigure(self, *, max_jobs: int | None, preempt: bool) -> None:
        """Other limits from now on; who holds a share keeps it."""
        with self._lock:
            self._max_jobs = max_jobs
            self._preempt = preempt

    def follow(self, record: Record) -> None:
        """Take over what a record says it holds; a job that holds nothing any more frees its share."""
        with self._lock:
            if record.admitted:
                self._held[record.key] = _Held(
                    share=record.share,
                    devices=record.devices,
                    priority=record.priority,
                    since=record.created_at,
                )
                self._waiting.pop(record.key, None)
                return
            freed = self._held.pop(record.key, None) is not None
            self._making_room.pop(record.key, None)
            if record.finished or record.suspended:
                freed = self._waiting.pop(record.key, None) is not None or freed
            elif record.queued and record.key not in self._waiting:
                # It waited under an earlier daemon: nobody who comes up before it may take its turn.
                self._waiting[record.key] = Ask(
                    key=record.key, amounts=record.share, since=record.created_at, priority=record.priority
                )
            waiting = list(self._waiting) if freed else []
        for key in waiting:
            self._on_release(key)

    def drop(self, key: str) -> None:
        """A job is gone."""
        with self._lock:
            freed = self._held.pop(key, None) is not None
            self._making_room.pop(key, None)
            freed = self._waiting.pop(key, None) is not None or freed
            waiting = list(self._waiting) if freed else []
        for other in waiting:
            self._on_release(other)

    def admit(self, key: str, plan: JobPlan, *, since: float = 0.0, priority: int = 0) -> Grant:
        """Give the job all it asks for, or a sentence about what it waits for.

        Args:
            key: ``namespace/name``.
            plan: of the job.
            since: its creation, seconds since the epoch.
            priority: the higher goes first.
        """
        ask = Ask(key=key, amounts=amounts_of(plan), since=since, priority=priority)
        classes = [kind for kind in ask.amounts if kind not in {CPUS, MEMORY}]
        inventory = self._inventory() if classes or self._waits_for_devices() else {}
        capacity = {**self._capacity(), **{kind: float(len(names)) for kind, names in inventory.items()}}
        with self._lock:
            if (held := self._held.get(key)) is not None:
                return Grant(share=dict(held.share), devices=held.devices)
            self._waiting[key] = ask
            shares = [h.share for h in self._held.values()]
            verdicts = judge_queue(self._waiting.values(), shares, capacity, max_jobs=self._max_jobs)
            if key not in verdicts.waiting:
                devices = self._assign(plan, inventory)
                self._held[key] = _Held(share=ask.amounts, devices=devices, priority=priority, since=since)
                self._waiting.pop(key)
                return Grant(share=dict(ask.amounts), devices=devices)
            room = self._make_room(ask, capacity) if self._preempt else ()
        # A job that lost its place (a rerun is younger) leaves it to one that nobody else would tell.
        for other in (*room, *verdicts.admitted):
            self._on_release(other)
        return Grant(waiting=verdicts.waiting[key], share=dict(ask.amounts))

    def _make_room(self, ask: Ask, capacity: Mapping[str, float]) -> tuple[str, ...]:
        """Mark those that must go; none while others are going already."""
        if self._making_room:
            return ()
        held = [
            Holder(key=k, amounts=h.share, priority=h.priority, since=h.since) for k, h in self._held.items()
        ]
        victims = victims_for(ask, held, capacity, max_jobs=self._max_jobs)
        self._making_room |= dict.fromkeys(victims, ask.key)
        return victims

    def making_room_for(self, key: str) -> str:
        """The job that this one has to make room for; "" when none."""
        with self._lock:
            return self._making_room.get(key, "")

    def view(self) -> tuple[Mapping[str, Mapping[str, float]], tuple[Ask, ...]]:
        """What every job holds, and who waits: for the table of the host."""
        with self._lock:
            return {key: h.share for key, h in self._held.items()}, tuple(self._waiting.values())

    def _waits_for_devices(self) -> bool:
        with self._lock:
            return any(kind not in {CPUS, MEMORY} for ask in self._waiting.values() for kind in ask.amounts)

    def _assign(self, plan: JobPlan, inventory: Mapping[str, tuple[str, ...]]) -> Devices:
        """Devices by index for every pod; a step that runs before another shares them with it."""
        assigned: Devices = {}
        for early in (True, False):
            pools = {kind: iter(self._free(kind, names)) for kind, names in inventory.items()}
            for step in plan.steps:
                if step.role.endswith("-initializer") != early:
                    continue
                for pod in step.pods:
                    wanted = pod_amounts(pod)
                    chosen = {
                        kind: tuple(next(pools[kind]) for _ in range(int(amount)))
                        for kind, amount in wanted.items()
                        if kind not in {CPUS, MEMORY} and amount
                    }
                    if chosen:
                        assigned[pod.name] = chosen
        return assigned

    def _free(self, kind: str, names: tuple[str, ...]) -> list[str]:
        taken = {
            i for job in self._held.values() for node in job.devices.values() for i in node.get(kind, ())
        }
        return [name for name in names if name not in taken]
