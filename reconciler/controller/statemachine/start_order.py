"""Which containers may start now, and the images they need. Pure.

Steps start in their order, init containers one by one, native sidecars before what follows them.
"""

from __future__ import annotations

from reconciler.controller.statemachine.actions import ImageRequest, PodLaunch
from reconciler.controller.statemachine.job_view import ContainerView, JobView, PodView, dependencies_met
from reconciler.controller.statemachine.observation import Observed
from reconciler.plan.job_plan import JobPlan


def select_launches(
    plan: JobPlan, view: JobView, now: float
) -> tuple[tuple[PodLaunch, ...], tuple[float, ...]]:
    """Returns what may start now, training nodes first and by rank; and when back-offs of others end."""
    launches: list[tuple[tuple[bool, int, int], PodLaunch]] = []
    waits: list[float] = []
    for position, step in enumerate(view.steps):
        blocked = plan.startup_in_order and not all(s.ready for s in view.steps[:position])
        if step.done or blocked or not dependencies_met(view, step):
            continue
        for pod in step.pods:
            ready, wait = _startable(pod, now)
            if wait is not None:
                waits.append(wait)
            if ready:
                launch = PodLaunch(
                    step=step.plan.name,
                    index=pod.plan.index,
                    containers=tuple(c.plan.name for c in ready),
                    existing=tuple((c.plan.name, c.state.id) for c in ready if c.state is not None),
                )
                rank = pod.plan.rank
                launches.append(((rank is None, rank or 0, position), launch))
    return tuple(launch for _, launch in sorted(launches, key=lambda pair: pair[0])), tuple(waits)


def _startable(pod: PodView, now: float) -> tuple[tuple[ContainerView, ...], float | None]:
    """Selects the containers of a pod that may start now: the next init container, or all that run together.

    Returns:
        The containers, the owner of the pod's network first; and the time before which a waiting one must
        not start.
    """
    if pod.succeeded:
        return (), None
    owner = pod.plan.network_owner.name
    selected: list[ContainerView] = []
    wait: float | None = None
    for view in pod.containers:
        due = view.record.not_before
        if view.plan.kind == "init":
            if view.phase == "succeeded":
                continue
            if view.active:
                return (), None
            return ((view,), None) if due <= now else ((), due)
        if view.phase in {"waiting", "created"}:
            if due > now:
                wait = due if wait is None else min(wait, due)
                if view.plan.name == owner:
                    return (), wait
                continue
            selected.append(view)
        if view.plan.kind == "sidecar" and not view.started:
            # A native sidecar is up before the next init container; all the rest waits for it.
            return tuple(selected), wait
    selected.sort(key=lambda c: c.plan.name != owner)
    return tuple(selected), wait


def select_missing_images(
    plan: JobPlan, launches: tuple[PodLaunch, ...], observed: Observed, *, pull_policy: str
) -> tuple[ImageRequest, ...]:
    """Returns the images that launches need and that are not known to be present.

    ``pull_policy`` is the daemon's, for containers whose manifest does not say.
    """
    missing: dict[str, ImageRequest] = {}
    for launch in launches:
        pod = plan.step(launch.step).pods[launch.index]
        for container in pod.containers:
            if container.name not in launch.containers or container.image in missing:
                continue
            state = observed.images.get(container.image)
            if state is None or state.status != "present":
                policy = container.pull_policy or pull_policy
                missing[container.image] = ImageRequest(container.image, policy, pod.pull_secrets)
    return tuple(missing.values())
