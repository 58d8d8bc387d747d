"""Which containers may start now: steps in order, init containers one by one, native sidecars first. Pure."""

from __future__ import annotations

from reconciler.controller.statemachine.actions import Launch
from reconciler.controller.statemachine.job_view import ContainerView, JobView, PodView, may_start
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record


def choose(
    plan: JobPlan, view: JobView, record: Record, now: float
) -> tuple[tuple[Launch, ...], tuple[float, ...]]:
    """What may start now, training nodes in rank order; and when to look again for what waits."""
    launches: list[tuple[tuple[bool, int, int], Launch]] = []
    waits: list[float] = []
    for position, step in enumerate(view.steps):
        ordered = plan.startup_in_order and not all(s.ready for s in view.steps[:position])
        if step.done or ordered or not may_start(view, position):
            continue
        for pod in step.pods:
            ready, wait = _startable(pod, record, now)
            if wait is not None:
                waits.append(wait)
            if ready:
                existing = tuple((c.plan.name, c.state.id) for c in ready if c.state is not None)
                launch = Launch(
                    step=step.plan.name,
                    index=pod.plan.index,
                    containers=tuple(c.plan.name for c in ready),
                    existing=existing,
                )
                rank = pod.plan.rank
                launches.append(((rank is None, rank or 0, position), launch))
    return tuple(launch for _, launch in sorted(launches, key=lambda pair: pair[0])), tuple(waits)


def _startable(pod: PodView, record: Record, now: float) -> tuple[tuple[ContainerView, ...], float | None]:
    """The containers of a pod that may start now: the next init container, or all that run side by side.

    Returns:
        The containers, in order; and the time before which a waiting one must not start.
    """
    if pod.succeeded:
        return (), None
    chosen: list[ContainerView] = []
    wait: float | None = None
    for view in pod.containers:
        if view.plan.kind == "init":
            if view.phase == "succeeded":
                continue
            if view.phase in {"running", "paused"}:
                return (), None
            due = record.container(view.plan.name).not_before
            return ((view,), None) if due <= now else ((), due)
        if view.phase in {"waiting", "created"}:
            due = view.record.not_before
            if due > now:
                wait = due if wait is None else min(wait, due)
                if view.plan.name == pod.owner.plan.name:
                    return (), wait
                continue
            chosen.append(view)
        if view.plan.kind == "sidecar" and not view.started:
            # A native sidecar is up before the next init container; all the rest waits for it.
            return tuple(chosen), wait
    owner = pod.owner.plan.name
    chosen.sort(key=lambda c: c.plan.name != owner)
    return tuple(chosen), wait
