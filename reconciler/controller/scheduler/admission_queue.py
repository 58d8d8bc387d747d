"""Who may start: jobs against what the host has. Pure.

All-or-nothing. Jobs get their turn by priority, then by age. A later job may pass an earlier one only where
that cannot delay it: what an earlier job needs stays set aside, and what it lacks is not touched.

Devices and memory are hard. CPUs are time: a job that asks for more of them than the host has could never
start on a cluster of this one machine, but runs here, alone among those that ask for any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan

CPUS = "cpu"
MEMORY = "memory"
GIBI = 1024**3


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What one job requests of the host.

    Attributes:
        amounts: ``cpu`` (CPUs), ``memory`` (bytes) and device classes (count); zeros left out.
        priority: the higher goes first.
        since: creation of the job, seconds since the epoch; the older goes first.
    """

    key: str
    amounts: Mapping[str, float] = field(default_factory=dict)
    priority: int = 0
    since: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """Keys that may start, in order; and for the others why they wait."""

    admitted: tuple[str, ...]
    waiting: Mapping[str, str]


def judge_queue(
    waiting: Iterable[Ask],
    held: Sequence[Mapping[str, float]],
    capacity: Mapping[str, float],
    *,
    max_jobs: int | None = None,
) -> Verdicts:
    """Decide for every waiting job at once.

    Args:
        waiting: in any order.
        held: amounts of the jobs that hold their share.
        capacity: of the host; a resource it does not name is unlimited if it is cpu or memory, else none.
        max_jobs: how many jobs may hold a share at once.
    """
    queue = sorted(waiting, key=lambda a: (-a.priority, a.since, a.key))
    free = {kind: _total(capacity, kind) - sum(h.get(kind, 0) for h in held) for kind in _kinds(queue)}
    reserved = dict.fromkeys(free, 0.0)
    places = None if max_jobs is None else max_jobs - len(held)
    admitted: list[str] = []
    why: dict[str, str] = {}
    cpu_users = any(h.get(CPUS) for h in held)
    for ask in queue:
        alone = ask.amounts.get(CPUS, 0) > _total(capacity, CPUS) and not cpu_users
        short = [
            kind
            for kind, amount in ask.amounts.items()
            if amount > free[kind] - reserved[kind] and not (kind == CPUS and alone and not reserved[CPUS])
        ]
        if not short and (places is None or places > 0):
            admitted.append(ask.key)
            cpu_users = cpu_users or bool(ask.amounts.get(CPUS))
            places = None if places is None else places - 1
            for kind, amount in ask.amounts.items():
                free[kind] -= amount
            continue
        lacks = _lacks(ask, short, free, capacity) if short else f"one of {max_jobs} places for jobs"
        why[ask.key] = f"Waits for {lacks}; position {len(why) + 1} in the queue."
        for kind, amount in ask.amounts.items():
            reserved[kind] += amount
        # Who waits only for a place keeps it: nobody behind may take the next one either.
        places = None if places is None else (0 if not short else places - 1)
    return Verdicts(admitted=tuple(admitted), waiting=why)


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A job that holds a share: what, and how dear it is."""

    key: str
    amounts: Mapping[str, float]
    priority: int = 0
    since: float = 0.0


def victims_for(
    ask: Ask, held: Sequence[Holder], capacity: Mapping[str, float], *, max_jobs: int | None = None
) -> tuple[str, ...]:
    """Jobs of lower priority that must make room for ``ask``: the lowest and youngest first.

    Returns:
        The smallest such prefix; empty where even all of them would not do.
    """
    cheaper = sorted(
        (h for h in held if h.priority < ask.priority), key=lambda h: (h.priority, -h.since, h.key)
    )
    for count in range(1, len(cheaper) + 1):
        gone = {h.key for h in cheaper[:count]}
        left = [h.amounts for h in held if h.key not in gone]
        if judge_queue([ask], left, capacity, max_jobs=max_jobs).admitted:
            return tuple(h.key for h in cheaper[:count])
    return ()


def _kinds(queue: Iterable[Ask]) -> set[str]:
    return {kind for ask in queue for kind in ask.amounts} | {CPUS}


def _total(capacity: Mapping[str, float], kind: str) -> float:
    unlimited = float("inf") if kind in {CPUS, MEMORY} else 0.0
    return capacity.get(kind) or unlimited


def _lacks(ask: Ask, short: Sequence[str], free: Mapping[str, float], capacity: Mapping[str, float]) -> str:
    parts = []
    for kind in short:
        wanted, left, total = ask.amounts[kind], max(free[kind], 0.0), _total(capacity, kind)
        if wanted > total and kind != CPUS:
            parts.append(f"{_show(kind, wanted)}, more than this host has ({_show(kind, total)})")
        else:
            unit = GIBI if kind == MEMORY else 1
            parts.append(f"{_show(kind, wanted)} ({left / unit:.3g} of {total / unit:.3g} free)")
    return ", ".join(parts)


def _show(kind: str, amount: float) -> str:
    if kind == MEMORY:
        return f"{amount / GIBI:.3g} GiB memory"
    if kind == CPUS:
        return f"{amount:g} CPUs"
    return f"{amount:g} {kind}"


def amounts_of(plan: JobPlan) -> dict[str, float]:
    """What a job holds while it runs: initializers run before the rest, so the larger of the two counts."""
    early: dict[str, float] = {}
    late: dict[str, float] = {}
    for step in plan.steps:
        sums = early if step.role.endswith("-initializer") else late
        for pod in step.pods:
            for kind, amount in pod_amounts(pod).items():
                sums[kind] = sums.get(kind, 0) + amount
    both = {kind: max(early.get(kind, 0), late.get(kind, 0)) for kind in early | late}
    return {kind: amount for kind, amount in both.items() if amount > 0}


def pod_amounts(pod: PodPlan) -> dict[str, float]:
    """A pod's request as the kube-scheduler counts it: containers together, or the largest init container."""
    together: dict[str, float] = {}
    alone: dict[str, float] = {}
    for container in pod.containers:
        for kind, amount in _container_amounts(container).items():
            if container.kind == "init":
                alone[kind] = max(alone.get(kind, 0), amount)
            else:
                together[kind] = together.get(kind, 0) + amount
    return {kind: max(together.get(kind, 0), alone.get(kind, 0)) for kind in together | alone}


def _container_amounts(container: ContainerPlan) -> dict[str, float]:
    """Requests; where there is none, the limit (Kubernetes' default)."""
    resources = container.resources
    cpu = resources.cpu_request if resources.cpu_request is not None else resources.cpu_limit
    memory = resources.memory_request if resources.memory_request is not None else resources.memory_limit
    return {CPUS: cpu or 0, MEMORY: float(memory or 0)} | {k: float(n) for k, n in resources.devices.items()}
