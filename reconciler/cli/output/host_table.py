"""The columns and the JSON of ``get host``: what the host has, which jobs hold it, and which wait for it.

What jobs hold and wait for is in their sidecars; the capacity, only the engine knows. Where none answers, the
view says so and shows the rest. It decides nothing: the daemon admits jobs by its records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciler.cli.output.tables import Row
from reconciler.client.jobs.job_snapshots import Job
from reconciler.config.settings import Settings
from reconciler.controller.scheduler.resources import CPU, MEMORY
from reconciler.state.sidecar_reader import mappings_in

JOBS: Final = "jobs"
GIBI: Final = 1024**3


@dataclass(frozen=True, kw_only=True)
class EngineCapacity:
    """What the engine's host has.

    Attributes:
        amounts: ``cpu`` (CPUs), ``memory`` (bytes), ``jobs``; a missing one is unknown or unlimited.
        devices: names by class.
        engine: name and version; empty when none answers.
        problem: why the engine could not be asked.
    """

    amounts: Mapping[str, float]
    devices: Mapping[str, tuple[str, ...]]
    engine: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class JobShare:
    """What one job holds; ``devices`` are ``class=name``."""

    job: str
    amounts: Mapping[str, float]
    devices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HostUsage:
    """The host at one moment; ``waiting``: name and message of each queued job, in the order of the queue."""

    capacity: EngineCapacity
    shares: tuple[JobShare, ...]
    waiting: tuple[tuple[str, str], ...]

    @property
    def resources(self) -> list[str]:
        """The resources that the host has, and those that jobs hold though it does not list them."""
        classes = {*self.capacity.devices} | {name for share in self.shares for name in share.amounts}
        return [CPU, MEMORY, *sorted(classes - {CPU, MEMORY}), JOBS]

    def used(self, resource: str) -> float:
        """Returns how much of it jobs hold."""
        if resource == JOBS:
            return float(len(self.shares))
        return sum(share.amounts.get(resource, 0.0) for share in self.shares)

    def total(self, resource: str) -> float | None:
        """Returns how much the host has; None where that is unknown or unlimited."""
        if resource in self.capacity.devices:
            return float(len(self.capacity.devices[resource]))
        return self.capacity.amounts.get(resource)

    def free(self, resource: str) -> float | None:
        """Returns how much nobody holds; None where that is unknown or unlimited."""
        total = self.total(resource)
        return None if total is None else max(total - self.used(resource), 0.0)

    def holders(self, resource: str) -> list[tuple[str, tuple[str, ...]]]:
        """Returns the jobs that hold some of it, with the names of the devices."""
        found = []
        for share in self.shares:
            pairs = (device.rpartition("=") for device in share.devices)
            devices = tuple(name for kind, _, name in pairs if kind == resource)
            if resource == JOBS or share.amounts.get(resource) or devices:
                found.append((share.job, devices))
        return found


def read_capacity(settings: Settings) -> EngineCapacity:
    """Asks the engine what its host has; one that does not answer is a ``problem``, not an exception."""
    from reconciler.controller.daemon.engine_connection import connect  # noqa: PLC0415  (imports structlog)
    from reconciler.errors import EngineError  # noqa: PLC0415

    limits = {JOBS: float(settings.max_jobs)} if settings.max_jobs is not None else {}
    try:
        engine = connect(settings)
        try:
            info, devices = engine.info(), engine.devices()
        finally:
            engine.close()
    except EngineError as error:
        return EngineCapacity(amounts=limits, devices={}, problem=str(error))
    known = {CPU: info.cpus, MEMORY: float(info.memory)}
    return EngineCapacity(
        amounts={k: v for k, v in known.items() if v} | limits,
        devices=dict(devices),
        engine=f"{info.name} {info.version}",
    )


def build_usage(jobs: Iterable[Job], capacity: EngineCapacity) -> HostUsage:
    """Builds the view from the jobs' sidecars."""
    shares, waiting = [], []
    for job in jobs:
        if job.phase == "Queued":
            waiting.append((job.short_name, job.message))
        share = job.reported.get("share")
        if isinstance(share, Mapping):
            nodes = mappings_in(job.reported.get("nodes"))
            devices = tuple(str(d) for n in nodes for d in n.get("devices") or ())
            amounts = {str(k): float(v) for k, v in share.items() if isinstance(v, (int, float))}
            shares.append(JobShare(job=job.short_name, amounts=amounts, devices=devices))
    waiting.sort(key=_queue_position)
    return HostUsage(capacity=capacity, shares=tuple(shares), waiting=tuple(waiting))


def _queue_position(entry: tuple[str, str]) -> tuple[int, str]:
    """The position in the daemon's message (``...; position 2 in the queue.``), then the name."""
    name, message = entry
    _, found, rest = message.rpartition("position ")
    number = rest.partition(" ")[0]
    return (int(number) if found and number.isdigit() else 1 << 30, name)


def host_object(usage: HostUsage) -> dict[str, Any]:
    """Returns the view for scripts; memory in bytes, null where it is unknown."""
    return {
        "kind": "Host",
        "engine": usage.capacity.engine,
        "problem": usage.capacity.problem,
        "resources": [
            {
                "name": resource,
                "capacity": usage.total(resource),
                "used": usage.used(resource),
                "free": usage.free(resource),
                "devices": list(usage.capacity.devices.get(resource, ())),
                "heldBy": [{"job": job, "devices": list(names)} for job, names in usage.holders(resource)],
            }
            for resource in usage.resources
        ],
        "waiting": [{"job": job, "message": message} for job, message in usage.waiting],
    }


def host_rows(usage: HostUsage) -> list[Row]:
    """Builds a row for each resource."""
    rows = []
    for resource in usage.resources:
        held = [f"{job} ({', '.join(names)})" if names else job for job, names in usage.holders(resource)]
        cells = {
            "RESOURCE": resource,
            "CAPACITY": _format_amount(resource, usage.total(resource)),
            "USED": _format_amount(resource, usage.used(resource)),
            "FREE": _format_amount(resource, usage.free(resource)),
            "HELD BY": "; ".join(held) or "-",
        }
        full = usage.total(resource) and usage.free(resource) == 0
        rows.append(Row(cells=cells, styles={"FREE": "yellow"} if full else {}))
    return rows


def waiting_rows(usage: HostUsage) -> list[Row]:
    """Builds a row for each job that waits, the next one first."""
    return [Row(cells={"WAITING": job, "MESSAGE": message}) for job, message in usage.waiting]


def _format_amount(resource: str, amount: float | None) -> str:
    if amount is None:
        return "-"
    return f"{amount / GIBI:.3g} GiB" if resource == MEMORY else f"{amount:g}"
