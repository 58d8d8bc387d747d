"""The decision: plan, observation and record in; next record and actions out. Pure; the time is an argument.

Nothing is remembered from earlier decisions. The order of the rules is that of upstream's controllers: a
finished job stays finished; suspension before deadlines; failures before success; stale containers go before
new ones come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from reconciler.controller.statemachine.actions import (
    IMAGE_UNAVAILABLE,
    Action,
    Admit,
    CleanUp,
    DumpStacks,
    EnsureNetwork,
    Launch,
    PullImages,
    Remove,
    Stop,
)
from reconciler.controller.statemachine.adoption import adopt_containers
from reconciler.controller.statemachine.attempts import ROUNDING, restart_gang
from reconciler.controller.statemachine.exits import observe_exits
from reconciler.controller.statemachine.failures.deadlines import expired_step, job_deadline, next_deadline
from reconciler.controller.statemachine.failures.failure_policy import (
    apply_failure_policy,
    fail_job,
    refuse_job,
)
from reconciler.controller.statemachine.failures.restart_policy import apply_restart_policy
from reconciler.controller.statemachine.failures.stall_detection import (
    detect_stall,
    running_ranks,
    stall_deadline,
    stall_timeout,
)
from reconciler.controller.statemachine.failures.step_failure import (
    DEADLINE_EXCEEDED,
    StepFailure,
    describe_first_failure,
)
from reconciler.controller.statemachine.job_end.kept_logs import hold_end, record_logs
from reconciler.controller.statemachine.job_end.success_policy import apply_success_policy
from reconciler.controller.statemachine.job_view import JobView, build_job_view, dependencies_met
from reconciler.controller.statemachine.observation import Observed
from reconciler.controller.statemachine.ownership import record_strays
from reconciler.controller.statemachine.start_order import select_launches, select_missing_images
from reconciler.controller.statemachine.suspension import apply_preemption, apply_suspension
from reconciler.engines.protocol import ContainerState
from reconciler.names import ANNOTATION_RESTART_SCOPE
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record

if TYPE_CHECKING:
    from reconciler.config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class DecisionOptions:
    """The daemon's options that bear on decisions.

    Attributes:
        auto_remove: remove the containers of a job when it has finished.
        pull_policy: for containers whose manifest does not say.
        restart_scope: what a retry restarts where the job does not say.
    """

    auto_remove: bool = True
    pull_policy: str = "IfNotPresent"
    restart_scope: Literal["container", "gang"] = "container"

    @classmethod
    def from_settings(cls, settings: Settings) -> DecisionOptions:
        """Takes them from the user's settings."""
        return cls(
            auto_remove=settings.auto_remove,
            pull_policy=settings.pull_policy,
            restart_scope=settings.restart_scope,
        )


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What follows from one pass.

    Attributes:
        record: to be saved before the actions are carried out.
        actions: in order.
        requeue_at: decide again at this time, seconds since the epoch; None: only when something happens.
    """

    record: Record
    actions: tuple[Action, ...] = ()
    requeue_at: float | None = None


def decide(
    plan: JobPlan, observed: Observed, record: Record, now: float, options: DecisionOptions
) -> Decision:
    """Decides the next step of a job that is to run, or has finished."""
    record = record_strays(record, observed, now=now)
    if record.recovered:
        record = adopt_containers(plan, observed, record)
    record = record_logs(observed, record, now=now)
    if record.finished:
        return _wind_up(plan, observed, record, now, options)
    record, exits = observe_exits(plan, observed, record, now)
    record = apply_suspension(plan, record, now)
    if not record.suspended:
        record = apply_preemption(observed, record, now)
    if record.suspended or record.preempted:
        return _hold(observed, record)
    gang_scope = plan.annotations.get(ANNOTATION_RESTART_SCOPE, options.restart_scope) == "gang"
    record, failure, gang = apply_restart_policy(plan, record, exits, now=now, gang_scope=gang_scope)
    dumps: tuple[Action, ...] = ()
    if failure is None and not gang and stall_timeout(plan) is not None:
        view = build_job_view(plan, observed, record)
        record, failure = detect_stall(plan, view, observed.last_output, record, now)
        dumps = (DumpStacks(containers=running_ranks(view)),) if failure is not None else ()
    record = _apply_policies(plan, observed, record, failure, gang=gang, now=now)
    proceed = _wind_up if record.finished else _advance
    decision = proceed(plan, observed, record, now, options)
    return replace(decision, actions=(*dumps, *decision.actions)) if dumps else decision


def _hold(observed: Observed, record: Record) -> Decision:
    """Removes the containers of a suspended or preempted job; then the preempted one asks to be admitted."""
    if observed.must_stay(observed.containers):
        return Decision(record=record)
    if observed.containers:
        why = "suspended" if record.suspended else "preempted"
        return Decision(record=record, actions=(Remove(containers=observed.containers, why=why),))
    return Decision(record=record, actions=() if record.suspended else (Admit(),))


def _apply_policies(
    plan: JobPlan, observed: Observed, record: Record, failure: StepFailure | None, *, gang: bool, now: float
) -> Record:
    """Applies deadlines, failures and success, in upstream's order."""
    deadline = job_deadline(plan, record)
    if deadline is not None and now >= deadline:
        message = f"TrainJob exceeded its active deadline of {plan.active_deadline:g} seconds"
        return fail_job(record, DEADLINE_EXCEEDED, message, now=now)
    failure = failure or expired_step(plan, record, now)
    if failure is not None:
        return apply_failure_policy(plan, record, failure, now=now)
    if gang:
        # A retry within the step's backoffLimit: what was counted towards it stays counted.
        why = f"{describe_first_failure(record)}."
        restarted = restart_gang(record, now=now, counted=False, why=why)
        return restarted.replace(step_failures=record.step_failures)
    view = build_job_view(plan, observed, record)
    if _network_lost(view, observed, record):
        return restart_gang(record, now=now, counted=False, why="The job's network was removed.")
    return apply_success_policy(plan, view, record, now=now)


def _network_lost(view: JobView, observed: Observed, record: Record) -> bool:
    """Whether the network went from under containers that had started on it: none can reach another again."""
    if observed.network is not None or not record.network_id:
        return False
    return any(
        c.record.container_id and c.record.result is None and not pod.plan.host_network
        for _, pod, c in view.containers
    )


def _advance(
    plan: JobPlan, observed: Observed, record: Record, now: float, options: DecisionOptions
) -> Decision:
    """Removes what is stale, then starts what may start."""
    view = build_job_view(plan, observed, record)
    stall = stall_deadline(plan, view, observed.last_output, record)
    requeue_at = _earliest(next_deadline(plan, record), stall)
    actions: list[Action] = []
    # Whose names they have waits for their logs, and with it its step: rank 0 comes first. The rest goes on.
    taken = {c.name for c in view.stale} if observed.must_stay(view.stale) else set()
    if view.stale and not taken:
        actions.append(Remove(containers=view.stale, why="belongs to an earlier run"))
    if superfluous := _superfluous(view):
        actions.append(Stop(containers=superfluous, why="its work is done"))
    if now < (held := record.attempt_not_before):
        return Decision(record=record, actions=tuple(actions), requeue_at=_earliest(requeue_at, held))
    record = _record_step_starts(view, record, now)
    launches, waits = select_launches(plan, view, now)
    waiting = {launch.step for launch in launches if not taken.isdisjoint(launch.containers)}
    launches = tuple(launch for launch in launches if launch.step not in waiting)
    requeue_at = _earliest(requeue_at, *waits)
    if not launches:
        if record.queued or record.problem is not None:
            # Nothing waits any more, or a start that was reported as failed has worked after all.
            record = record.replace(queued="", problem=None)
        return Decision(record=record, actions=tuple(actions), requeue_at=requeue_at)
    if observed.refusal.message:
        return _wind_up(plan, observed, refuse_job(record, observed.refusal, now=now), now, options)
    if not record.admitted:
        return Decision(record=record, actions=(*actions, Admit()), requeue_at=requeue_at)
    if (held := _held_until(record)) > now + ROUNDING:
        return Decision(record=record, actions=tuple(actions), requeue_at=_earliest(requeue_at, held))
    actions.append(EnsureNetwork())
    if images := select_missing_images(plan, launches, observed, pull_policy=options.pull_policy):
        actions.append(PullImages(images=images))
        retries = [s.retry_at for i in images if (s := observed.images.get(i.image)) and s.retry_at]
        return Decision(record=record, actions=tuple(actions), requeue_at=_earliest(requeue_at, *retries))
    if record.started_at is None:
        record = record.replace(started_at=now)
    return Decision(record=record, actions=(*actions, Launch(pods=launches)), requeue_at=requeue_at)


def _superfluous(view: JobView) -> tuple[ContainerState, ...]:
    """Returns what runs on although its step is complete, or its pod's regular containers are (sidecars)."""
    return tuple(
        c.state
        for step, pod, c in view.containers
        if c.state is not None and c.active and (step.done or (pod.succeeded and c.plan.kind == "sidecar"))
    )


def _record_step_starts(view: JobView, record: Record, now: float) -> Record:
    """Records when each step was first allowed to start (its own deadline counts from there)."""
    new = {
        s.plan.name: now
        for s in view.steps
        if s.plan.name not in record.step_started and not s.done and dependencies_met(view, s)
    }
    return record.replace(step_started={**record.step_started, **new}) if new else record


def _held_until(record: Record) -> float:
    """Returns until when a problem keeps the job waiting; retries of pulls are the image puller's."""
    problem = record.problem
    return problem.retry_at if problem is not None and problem.reason != IMAGE_UNAVAILABLE else 0.0


def _wind_up(
    plan: JobPlan, observed: Observed, record: Record, now: float, options: DecisionOptions
) -> Decision:
    """Stops what runs of a finished job; containers and network go by auto-remove or time to live."""
    record, tell_at = hold_end(plan, observed, record, now)
    expires = record.clock_from + plan.ttl if plan.ttl is not None else None
    if options.auto_remove or (expires is not None and now >= expires):
        if record.cleaned and not observed.containers and observed.network is None:
            return Decision(record=record)
        if not observed.containers and (held := _held_until(record)) > now + ROUNDING:
            return Decision(record=record, requeue_at=held)
        if observed.must_stay(observed.containers):
            return Decision(record=record)
        actions: tuple[Action, ...] = (CleanUp(),)
        if observed.containers:
            actions = (Remove(containers=observed.containers, why="the job has finished"), CleanUp())
        return Decision(record=record, actions=actions, requeue_at=tell_at)
    running = tuple(c for c in observed.containers if c.state not in {"exited", "created"})
    stop = (Stop(containers=running, why="the job has finished"),) if running else ()
    return Decision(record=record, actions=stop, requeue_at=_earliest(expires, tell_at))


def _earliest(*times: float | None) -> float | None:
    return min((t for t in times if t is not None), default=None)
