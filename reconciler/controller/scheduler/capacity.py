"""The host's capacity: which job holds what, and who waits for it.

What is held is in the records (``admitted``, ``share``, ``devices``), so a restarted daemon knows it again;
this is their sum, kept in memory for speed. :mod:`.admission_queue` decides, this books.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.controller.scheduler.admission_queue import AdmissionRequest, decide_admissions
from reconciler.controller.scheduler.preemption import select_victims
from reconciler.controller.scheduler.resources import is_device, requested_by_pod, requested_resources
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record

#: Device names by pod and class.
Devices = dict[str, dict[str, tuple[str, ...]]]


@dataclass(frozen=True, kw_only=True)
class Allocation:
    """A job's share of the host and its devices; or the share it requests, and why it waits for it."""

    share: dict[str, float] = field(default_factory=dict)
    devices: Devices = field(default_factory=dict)
    waiting: str = ""


class HostCapacity:
    """Books what jobs hold; thread-safe.

    Args:
        inventory: the devices the host has, by class; called when a device is requested.
        capacity: the host's ``cpu`` and ``memory`` (bytes); 0 or missing is unknown, and not enforced.
        max_jobs: how many jobs may be admitted at once; None is no limit.
        enqueue: called with the key of every waiting job when something becomes free, and of those that
            are to make room.
        preempt: whether jobs of lower priority make room.
    """

    def __init__(
        self,
        *,
        inventory: Callable[[], Mapping[str, tuple[str, ...]]],
        max_jobs: int | None,
        enqueue: Callable[[str], None],
        capacity: Callable[[], Mapping[str, float]] = dict,
        preempt: bool = False,
    ) -> None:
        self._inventory = inventory
        self._capacity = capacity
        self._max_jobs = max_jobs
        self._enqueue = enqueue
        self._preempt = preempt
        self._lock = threading.Lock()
        self._admitted: dict[str, AdmissionRequest] = {}
        self._devices: dict[str, Devices] = {}
        self._waiting: dict[str, AdmissionRequest] = {}
        #: What each waiting job was told last; another's turn may change it.
        self._told: dict[str, str] = {}
        #: Key of a job that makes room to that of the job it does so for.
        self._preempted: dict[str, str] = {}

    def reconfigure(self, *, max_jobs: int | None, preempt: bool) -> None:
        """Sets other limits; admitted jobs stay admitted."""
        with self._lock:
            self._max_jobs = max_jobs
            self._preempt = preempt

    def sync(self, record: Record) -> None:
        """Books what a record says the job holds; what it holds no more becomes free."""
        request = AdmissionRequest(
            key=record.key, amounts=record.share, since=record.created_at, priority=record.priority
        )
        with self._lock:
            if record.admitted:
                self._book(request, record.devices)
                return
            if record.queued and not (record.finished or record.suspended):
                # It waited under an earlier daemon: no job that is reconciled before it may take its turn.
                self._waiting.setdefault(record.key, request)
                freed = self._free(record.key)
            else:
                freed = self._free(record.key, waiting=record.finished or record.suspended)
        self._enqueue_all(freed)

    def remove(self, key: str) -> None:
        """Frees what a job holds that is gone."""
        with self._lock:
            freed = self._free(key, waiting=True)
        self._enqueue_all(freed)

    def admit(self, key: str, plan: JobPlan, *, since: float = 0.0, priority: int = 0) -> Allocation:
        """Allocates all that the job requests, or says what it waits for.

        Jobs go by priority, the higher first, then by ``since``, their creation in seconds since the epoch.
        """
        share = requested_resources(plan)
        request = AdmissionRequest(key=key, amounts=share, since=since, priority=priority)
        inventory = self._inventory() if self._needs_inventory(request) else {}
        capacity = {**self._capacity(), **{name: float(len(found)) for name, found in inventory.items()}}
        with self._lock:
            if (held := self._admitted.get(key)) is not None:
                return Allocation(share=dict(held.amounts), devices=self._devices[key])
            self._waiting[key] = request
            held_shares = [job.amounts for job in self._admitted.values()]
            decision = decide_admissions(
                self._waiting.values(), held_shares, capacity, max_jobs=self._max_jobs
            )
            moved = self._note_positions(key, decision.waiting)
            if key not in decision.waiting:
                devices = self._assign_devices(plan, inventory)
                self._book(request, devices)
                allocation, woken = Allocation(share=share, devices=devices), moved
            else:
                victims = self._select_victims(request, capacity) if self._preempt else ()
                # A job that lost its place (a rerun is younger) leaves it to one that nothing else would
                # wake.
                woken = tuple(dict.fromkeys((*victims, *decision.admitted, *moved)))
                allocation = Allocation(share=share, waiting=decision.waiting[key])
        self._enqueue_all(woken)
        return allocation

    def preempted_by(self, key: str) -> str:
        """Returns the job that this one has to make room for; "" when none."""
        with self._lock:
            return self._preempted.get(key, "")

    def _note_positions(self, key: str, waiting: Mapping[str, str]) -> tuple[str, ...]:
        """Notes what the waiting jobs are told now; returns the others whose status says something else."""
        moved = tuple(k for k, told in waiting.items() if k != key and self._told.get(k) != told)
        self._told = dict(waiting)
        return moved

    def _book(self, request: AdmissionRequest, devices: Devices) -> None:
        self._admitted[request.key] = request
        self._devices[request.key] = devices
        self._waiting.pop(request.key, None)

    def _free(self, key: str, *, waiting: bool = False) -> tuple[str, ...]:
        """Takes a job off the books; returns who waits, if that changes anything for them.

        With ``waiting`` it leaves the queue as well.
        """
        freed = self._admitted.pop(key, None) is not None
        self._devices.pop(key, None)
        self._preempted.pop(key, None)
        if waiting:
            freed = self._waiting.pop(key, None) is not None or freed
        return tuple(self._waiting) if freed else ()

    def _enqueue_all(self, keys: tuple[str, ...]) -> None:
        for key in keys:
            self._enqueue(key)

    def _select_victims(self, request: AdmissionRequest, capacity: Mapping[str, float]) -> tuple[str, ...]:
        """Marks the jobs that must make room; none while others do so already."""
        if self._preempted:
            return ()
        victims = select_victims(request, tuple(self._admitted.values()), capacity, max_jobs=self._max_jobs)
        self._preempted |= dict.fromkeys(victims, request.key)
        return victims

    def _needs_inventory(self, request: AdmissionRequest) -> bool:
        with self._lock:
            requests = (request, *self._waiting.values())
        return any(is_device(resource) for r in requests for resource in r.amounts)

    def _assign_devices(self, plan: JobPlan, inventory: Mapping[str, tuple[str, ...]]) -> Devices:
        """Assigns free devices to every pod; initializers share them with the steps that run after them."""
        assigned: Devices = {}
        for early in (True, False):
            pools = {name: iter(self._free_devices(name, found)) for name, found in inventory.items()}
            for step in plan.steps:
                if step.role.endswith("-initializer") != early:
                    continue
                for pod in step.pods:
                    devices = {
                        resource: tuple(next(pools[resource]) for _ in range(int(amount)))
                        for resource, amount in requested_by_pod(pod).items()
                        if is_device(resource) and amount
                    }
                    if devices:
                        assigned[pod.name] = devices
        return assigned

    def _free_devices(self, device_class: str, names: tuple[str, ...]) -> list[str]:
        taken = {
            name
            for job in self._devices.values()
            for pod in job.values()
            for name in pod.get(device_class, ())
        }
        return [name for name in names if name not in taken]
