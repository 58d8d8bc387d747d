"""Plan, record and listing laid over each other: what each container, pod and step is right now.

Pure. A container is looked up by the labels it carries, not by its name: one that was renamed by hand is
still the same rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reconciler.controller.statemachine.observation import Observed, generation_of, identity
from reconciler.engines.protocol import ContainerState
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, StepPlan
from reconciler.state.record import ContainerRecord, Record

Phase = Literal["waiting", "created", "running", "paused", "succeeded", "failed"]


@dataclass(frozen=True, kw_only=True)
class ContainerView:
    """One wanted container.

    Attributes:
        state: the engine's container of the wanted run; None when there is none.
        phase: ``failed`` and ``succeeded`` come from the record, the rest from the engine.
        started: runs, and its startup probe (if any) has passed.
        ready: likewise, and its readiness probe (if any) passes.
    """

    plan: ContainerPlan
    record: ContainerRecord
    state: ContainerState | None
    phase: Phase
    started: bool
    ready: bool


@dataclass(frozen=True, kw_only=True)
class PodView:
    """One pod: its containers in the order they start."""

    plan: PodPlan
    containers: tuple[ContainerView, ...]

    @property
    def mains(self) -> tuple[ContainerView, ...]:
        """The regular containers: the pod has done its work when all of them have."""
        return tuple(c for c in self.containers if c.plan.kind == "main")

    @property
    def succeeded(self) -> bool:
        """All regular containers ended with 0."""
        return all(c.phase == "succeeded" for c in self.mains)

    @property
    def ready(self) -> bool:
        """All regular containers run and are ready, or have succeeded."""
        return all(c.ready or c.phase == "succeeded" for c in self.mains)

    @property
    def running(self) -> bool:
        """Some container of it runs."""
        return any(c.phase == "running" for c in self.containers)

    @property
    def primary(self) -> ContainerView:
        """The container that carries the pod's name."""
        return next(c for c in self.containers if c.plan.primary)

    @property
    def owner(self) -> ContainerView:
        """The container whose network namespace the others share: the first long-lived one to start."""
        sidecar = next((c for c in self.containers if c.plan.kind == "sidecar"), None)
        return sidecar or self.primary


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One replicated job."""

    plan: StepPlan
    pods: tuple[PodView, ...]
    done: str

    @property
    def succeeded_pods(self) -> int:
        """How many pods have done their work."""
        return sum(i.succeeded for i in self.pods)

    @property
    def ready(self) -> bool:
        """Running and finished pods together reach the count (upstream ``JobStatus.ready``)."""
        return self.done == "succeeded" or all(i.ready for i in self.pods)


@dataclass(frozen=True, kw_only=True)
class JobView:
    """The whole job.

    Attributes:
        stale: containers of earlier runs, attempts or uids, and those the plan does not know.
    """

    steps: tuple[StepView, ...]
    stale: tuple[ContainerState, ...]

    def step(self, name: str) -> StepView:
        """The step of that name (KeyError otherwise)."""
        for step in self.steps:
            if step.plan.name == name:
                return step
        raise KeyError(name)

    @property
    def containers(self) -> tuple[tuple[StepView, PodView, ContainerView], ...]:
        """Every wanted container with where it belongs."""
        return tuple((s, i, c) for s in self.steps for i in s.pods for c in i.containers)


def view_job(plan: JobPlan, observed: Observed, record: Record) -> JobView:
    """Lay the listing over plan and record."""
    current: dict[tuple[str, int, str], ContainerState] = {}
    stale: list[ContainerState] = []
    wanted = {
        (s.name, i.index, c.container): record.container(c.name)
        for s in plan.steps
        for i in s.pods
        for c in i.containers
    }
    for state in sorted(observed.containers, key=lambda c: c.created_at or 0.0, reverse=True):
        key = identity(state)
        known = wanted.get(key)
        is_wanted = known is not None and generation_of(state) == (record.uid, record.attempt, known.restart)
        if is_wanted and key not in current:
            current[key] = state
        else:
            stale.append(state)
    steps = tuple(_step(step, current, record, observed) for step in plan.steps)
    return JobView(steps=steps, stale=tuple(stale))


def _step(
    step: StepPlan, current: Mapping[tuple[str, int, str], ContainerState], record: Record, observed: Observed
) -> StepView:
    pods = tuple(
        PodView(
            plan=pod,
            containers=tuple(
                _container(c, current.get((step.name, pod.index, c.container)), record, observed)
                for c in pod.containers
            ),
        )
        for pod in step.pods
    )
    return StepView(plan=step, pods=pods, done=record.steps_done.get(step.name, ""))


def _container(
    plan: ContainerPlan, state: ContainerState | None, record: Record, observed: Observed
) -> ContainerView:
    known = record.container(plan.name)
    phase = _phase(known, state)
    identifier = state.id if state is not None else ""
    started = phase in {"running", "paused"} and (
        plan.startup is None or identifier in observed.probed.started
    )
    ready = started and (plan.readiness is None or identifier in observed.probed.ready)
    return ContainerView(plan=plan, record=known, state=state, phase=phase, started=started, ready=ready)


def _phase(known: ContainerRecord, state: ContainerState | None) -> Phase:
    if known.result is not None:
        return "succeeded" if known.result.succeeded else "failed"
    if state is None:
        return "waiting"
    if state.state in {"running", "stopping"}:
        return "running"
    if state.state == "paused":
        return "paused"
    # "exited" without a result does not outlive settling; until then it is taken as still going on.
    return "created" if state.state == "created" else "running"


def may_start(view: JobView, position: int) -> bool:
    """Whether everything the step waits for (``dependsOn``) is there."""
    for dependency in view.steps[position].plan.after:
        before = view.step(dependency.name)
        if dependency.status == "Complete" and before.done != "succeeded":
            return False
        if dependency.status == "Ready" and not before.ready:
            return False
    return True
