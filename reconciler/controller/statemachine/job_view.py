"""Plan, record and listing combined: the state of each container, pod and step right now. Pure.

Among the job's own (:mod:`~reconciler.controller.statemachine.ownership`) a container is looked up by the
labels it carries, not by its name: one that was renamed by hand is still the same rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from reconciler.controller.statemachine.observation import (
    Observed,
    container_identity,
    is_current_run,
    planned_containers,
)
from reconciler.engines.protocol import ContainerState
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, StepPlan
from reconciler.state.record import ContainerRecord, Record

Phase = Literal["waiting", "created", "running", "paused", "succeeded", "failed"]


@dataclass(frozen=True, kw_only=True)
class ContainerView:
    """One planned container.

    Attributes:
        state: the engine's container of the current run; None when there is none.
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

    @property
    def active(self) -> bool:
        """Runs or is paused."""
        return self.phase in {"running", "paused"}


@dataclass(frozen=True, kw_only=True)
class PodView:
    """One pod: its containers in the order they start."""

    plan: PodPlan
    containers: tuple[ContainerView, ...]

    @property
    def mains(self) -> tuple[ContainerView, ...]:
        """The regular containers: the pod has succeeded when all of them have."""
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
    def primary(self) -> ContainerView:
        """The container that carries the pod's name."""
        return next(c for c in self.containers if c.plan.primary)


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One step; ``done`` is ``succeeded``, ``failed`` or "" (``Record.steps_done``)."""

    plan: StepPlan
    pods: tuple[PodView, ...]
    done: str

    @property
    def ready(self) -> bool:
        """Running and finished pods together reach the count (upstream ``JobStatus.ready``)."""
        return self.done == "succeeded" or all(pod.ready for pod in self.pods)


@dataclass(frozen=True, kw_only=True)
class JobView:
    """The whole job.

    Attributes:
        stale: containers of earlier runs, attempts or uids, and those the plan does not know.
    """

    steps: tuple[StepView, ...]
    stale: tuple[ContainerState, ...]

    @property
    def containers(self) -> tuple[tuple[StepView, PodView, ContainerView], ...]:
        """Every planned container with its step and pod."""
        return tuple((s, p, c) for s in self.steps for p in s.pods for c in p.containers)


def build_job_view(plan: JobPlan, observed: Observed, record: Record) -> JobView:
    """Matches the job's containers with those of the plan, by their labels.

    Of two for one place the one that the record knows is current, or the younger; the other is stale.
    """
    known = frozenset(record.container_ids)
    planned = planned_containers(plan)
    current: dict[tuple[str, int, str], ContainerState] = {}
    stale: list[ContainerState] = []
    for state in sorted(
        observed.containers, key=lambda c: (c.id in known, c.created_at or 0.0), reverse=True
    ):
        key = container_identity(state)
        container = planned.get(key)
        if container is not None and key not in current and is_current_run(state, record, container.name):
            current[key] = state
        else:
            stale.append(state)
    steps = tuple(_build_step(step, current, record, observed) for step in plan.steps)
    return JobView(steps=steps, stale=tuple(stale))


def _build_step(
    step: StepPlan, current: Mapping[tuple[str, int, str], ContainerState], record: Record, observed: Observed
) -> StepView:
    pods = tuple(
        PodView(
            plan=pod,
            containers=tuple(
                _build_container(c, current.get((step.name, pod.index, c.container)), record, observed)
                for c in pod.containers
            ),
        )
        for pod in step.pods
    )
    return StepView(plan=step, pods=pods, done=record.steps_done.get(step.name, ""))


def _build_container(
    plan: ContainerPlan, state: ContainerState | None, record: Record, observed: Observed
) -> ContainerView:
    known = record.container(plan.name)
    phase = _phase(known, state)
    identifier = state.id if state is not None else ""
    started = phase in {"running", "paused"} and (
        plan.startup is None or identifier in observed.probes.started
    )
    ready = started and (plan.readiness is None or identifier in observed.probes.ready)
    return ContainerView(plan=plan, record=known, state=state, phase=phase, started=started, ready=ready)


def _phase(known: ContainerRecord, state: ContainerState | None) -> Phase:
    if known.result is not None:
        return "succeeded" if known.result.succeeded else "failed"
    if state is None:
        return "waiting"
    if state.state == "paused":
        return "paused"
    # "exited" without a result lasts until its exit is observed; until then it counts as running.
    return "created" if state.state == "created" else "running"


def dependencies_met(view: JobView, step: StepView) -> bool:
    """Whether all steps that this one waits for (``dependsOn``) are complete or ready."""
    steps = {s.plan.name: s for s in view.steps}
    return all(
        steps[d.name].done == "succeeded" if d.status == "Complete" else steps[d.name].ready
        for d in step.plan.after
    )
