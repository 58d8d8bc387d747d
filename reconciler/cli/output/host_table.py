"""``reconciler get host``: what the host has, who holds it, and who waits for it.

What jobs hold and wait for is in their sidecars; what there is, only the engine knows. Where none answers,
the view says so and shows the rest. It is a view: the daemon's own books are in the records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reconciler.names import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from reconciler.cli.output.tables import Row
    from reconciler.client.jobs.job_snapshots import Job
    from reconciler.config.settings import Settings

CPU: Final = "cpu"
MEMORY: Final = "memory"
JOBS: Final = "jobs"
GIBI: Final = 1024**3


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What there is.

    Attributes:
        amounts: ``cpu`` (CPUs), ``memory`` (bytes), ``jobs``; what is missing is unknown or unlimited.
        devices: names by class.
        engine: name and version; empty when none answers.
        problem: why the engine could not be asked.
    """

    amounts: Mapping[str, float]
    devices: Mapping[str, tuple[str, ...]]
    engine: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """What one job holds; ``devices`` are ``class=name``."""

    job: str
    share: Mapping[str, float]
    devices: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Host:
    """The host at one moment."""

    capacity: Capacity
    holders: tuple[Holder, ...]
    waiting: tuple[tuple[str, str], ...]

    def used(self, resource: str) -> float:
        """How much of it is held by jobs."""
        if resource == JOBS:
            return float(len(self.holders))
        return sum(h.share.get(resource, 0.0) for h in self.holders)

    def total(self, resource: str) -> float | None:
        """How much there is; None unknown or unlimited."""
        if resource in self.capacity.devices:
            return float(len(self.capacity.devices[resource]))
        return self.capacity.amounts.get(resource)

    @property
    def resources(self) -> list[str]:
        """What there is, and what is held of what nobody knows."""
        classes = {*self.capacity.devices} | {k for h in self.holders for k in h.share}
        return [CPU, MEMORY, *sorted(classes - {CPU, MEMORY}), JOBS]

    def held_by(self, resource: str) -> list[tuple[str, tuple[str, ...]]]:
        """Jobs that hold some of it, with the names of the devices."""
        found = []
        for holder in self.holders:
            devices = tuple(d.rpartition("=")[2] for d in holder.devices if d.rpartition("=")[0] == resource)
            if resource == JOBS or holder.share.get(resource) or devices:
                found.append((holder.job, devices))
        return found


def ask(settings: Settings) -> Capacity:
    """What the host has, by the engine; never raises for an engine that does not answer."""
    from reconciler.controller.daemon.engine_connection import connect  # noqa: PLC0415  (imports the engines' clients)
    from reconciler.errors import EngineError  # noqa: PLC0415

    places = {JOBS: float(settings.max_jobs)} if settings.max_jobs is not None else {}
    try:
        engine = connect(settings)
        try:
            info, devices = engine.info(), engine.devices()
        finally:
            engine.close()
    except EngineError as error:
        return Capacity(amounts=places, devices={}, problem=str(error))
    known = {CPU: info.cpus, MEMORY: float(info.memory)}
    return Capacity(
        amounts={k: v for k, v in known.items() if v} | places,
        devices=dict(devices),
        engine=f"{info.name} {info.version}",
    )


def look(jobs: Iterable[Job], capacity: Capacity) -> Host:
    """The host, from what the jobs' sidecars say."""
    holders, waiting = [], []
    for job in jobs:
        status = job.status.status if job.status is not None else {}
        name = job.name if job.namespace == DEFAULT_NAMESPACE else job.key
        if job.phase == "Queued":
            waiting.append((name, job.message))
        share = status.get("share")
        if isinstance(share, Mapping):
            nodes = status.get("nodes")
            nodes = [n for n in nodes if isinstance(n, Mapping)] if isinstance(nodes, list) else []
            devices = tuple(str(d) for n in nodes for d in n.get("devices") or ())
            amounts = {str(k): float(v) for k, v in share.items() if isinstance(v, (int, float))}
            holders.append(Holder(job=name, share=amounts, devices=devices))
    return Host(capacity=capacity, holders=tuple(holders), waiting=tuple(sorted(waiting, key=_place)))


def _place(waits: tuple[str, str]) -> tuple[int, str]:
    """By the position that the daemon gave: ``...; position 2 in the queue``."""
    _, found, rest = waits[1].rpartition("position ")
    number = rest.partition(" ")[0]
    return (int(number) if found and number.isdigit() else 1 << 30, waits[0])


def as_object(host: Host) -> dict[str, Any]:
    """The same for scripts; memory in bytes, null where nobody knows."""
    return {
        "kind": "Host",
        "engine": host.capacity.engine,
        "problem": host.capacity.problem,
        "resources": [
            {
                "name": resource,
                "capacity": (total := host.total(resource)),
                "used": (used := host.used(resource)),
                "free": None if total is None else max(total - used, 0.0),
                "devices": list(host.capacity.devices.get(resource, ())),
                "heldBy": [{"job": job, "devices": list(d)} for job, d in host.held_by(resource)],
            }
            for resource in host.resources
        ],
        "waiting": [{"job": job, "message": message} for job, message in host.waiting],
    }


def rows(host: Host) -> list[Row]:
    """A line for each resource."""
    from reconciler.cli.output.tables import Row  # noqa: PLC0415  (imports the tables' library)

    lines = []
    for resource in host.resources:
        total, used = host.total(resource), host.used(resource)
        held = "; ".join(
            f"{job} ({', '.join(names)})" if names else job for job, names in host.held_by(resource)
        )
        cells = {
            "RESOURCE": resource,
            "CAPACITY": _show(resource, total),
            "USED": _show(resource, used),
            "FREE": _show(resource, None if total is None else max(total - used, 0.0)),
            "HELD BY": held or "-",
        }
        full = total is not None and used >= total > 0
        lines.append(Row(cells=cells, styles={"FREE": "yellow"} if full else {}))
    return lines


def waiting_rows(host: Host) -> list[Row]:
    """A line for each job that waits, the next one first."""
    from reconciler.cli.output.tables import Row  # noqa: PLC0415  (imports the tables' library)

    return [Row(cells={"WAITING": job, "MESSAGE": message}) for job, message in host.waiting]


def _show(resource: str, amount: float | None) -> str:
    if amount is None:
        return "-"
    return f"{amount / GIBI:.3g} GiB" if resource == MEMORY else f"{amount:g}"
