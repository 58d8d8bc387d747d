"""The decision: plan, listing and record in, next record and actions out. Pure; the time is an argument.

Every pass decides anew. The order of the rules below is the order of upstream's controllers: a finished job
stays finished; suspension before deadlines; failures before success; stale things go before new ones come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from reconciler.controller.statemachine.actions import (
    Action,
    Admit,
    CleanUp,
    Dump,
    EnsureNetwork,
    Launch,
    PullImages,
    Remove,
    Stop,
)
from reconciler.controller.statemachine.adoption import adopt
from reconciler.controller.statemachine.exits import settle
from reconciler.controller.statemachine.job_view import JobView, StepView, may_start, view_job
from reconciler.controller.statemachine.observation import Observed
from reconciler.controller.statemachine.restart_policy import (
    DEADLINE_EXCEEDED,
    Verdict,
    absorb,
    blame,
    complete,
    fail,
    judge,
    next_attempt,
    refuse,
    restart_gang,
)
from reconciler.controller.statemachine.stall_detection import (
    quiet_since,
    running_ranks,
    stall_timeout,
    stalled,
)
from reconciler.controller.statemachine.start_order import choose
from reconciler.engines.protocol import ContainerState
from reconciler.names import ANNOTATION_RESTART_SCOPE
from reconciler.plan.job_plan import ContainerPlan, JobPlan
from reconciler.state.record import Record

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

#: Reason of a problem that ends as soon as the image is there, whatever the back-off says.
IMAGE_PROBLEM = "ImageUnavailable"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Options of the daemon that bear on decisions.

    Attributes:
        pull_policy: for containers whose manifest does not say.
        restart_scope: what a retry restarts where the job does not say.
    """

    auto_remove: bool = True
    pull_policy: str = "IfNotPresent"
    restart_scope: Literal["container", "gang"] = "container"

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """As the user has chosen."""
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
        requeue_at: look again at this time, seconds since the epoch; None: only when something happens.
    """

    record: Record
    actions: tuple[Action, ...] = ()
    requeue_at: float | None = None


def decide(plan: JobPlan, observed: Observed, record: Record, now: float, policy: Policy) -> Decision:
    """Decide the next step of a job that is wanted."""
    if record.recovered:
        record = adopt(plan, observed, record)
    if record.finished:
        return _wind_up(plan, observed, record, now, policy)
    record, ended = settle(plan, observed, record, now)
    record = _suspension(plan, record, now)
    if record.suspended:
        return _keep_stopped(observed, record)
    record = _preemption(observed, record, now)
    if record.preempted:
        return _wait_for_room(observed, record)
    record, verdict, gang = absorb(plan, record, ended, now=now, gang_scope=_gang_scope(plan, policy))
    dumps: tuple[Action, ...] = ()
    if verdict is None and not gang and stall_timeout(plan) is not None:
        view = view_job(plan, observed, record)
        record, verdict = stalled(plan, view, observed.activity, record, now)
        dumps = (Dump(containers=running_ranks(view)),) if verdict is not None else ()
    record = _judge(plan, observed, record, verdict, gang=gang, now=now)
    go = _wind_up if record.finished else _go_on
    decision = go(plan, observed, record, now, policy)
    return replace(decision, actions=(*dumps, *decision.actions)) if dumps else decision


def _gang_scope(plan: JobPlan, policy: Policy) -> bool:
    return plan.annotations.get(ANNOTATION_RESTART_SCOPE, policy.restart_scope) == "gang"


def _suspension(plan: JobPlan, record: Record, now: float) -> Record:
    """Upstream's ``setSuspendedCondition``: True while suspended, False (Resumed) after, else absent."""
    if plan.suspend and not record.suspended:
        kept = next_attempt(record, keep_succeeded=True) if record.started_at is not None else record
        kept = kept.model_copy(
            update={"suspended": True, "preempted": False, "admitted": False, "queued": "", "problem": None}
        )
        kept = kept.with_condition("Suspended", "True", "Suspended", "TrainJob is suspended", now=now)
        return kept.with_event("Suspended", "TrainJob is suspended", now=now)
    if not plan.suspend and record.suspended:
        resumed = record.model_copy(update={"suspended": False, "clock_from": now})
        resumed = resumed.with_condition("Suspended", "False", "Resumed", "TrainJob is resumed", now=now)
        return resumed.with_event("Resumed", "TrainJob is resumed", now=now)
    return record


def _preemption(observed: Observed, record: Record, now: float) -> Record:
    """Make room for a job of higher priority; go on, as after a suspension, when admitted again."""
    if observed.make_room_for and record.admitted:
        kept = next_attempt(record, keep_succeeded=True) if record.started_at is not None else record
        message = f"TrainJob is suspended to make room for {observed.make_room_for}"
        kept = kept.model_copy(update={"preempted": True, "admitted": False, "queued": message})
        kept = kept.with_condition("Suspended", "True", "Preempted", message, now=now)
        return kept.with_event("Preempted", message, now=now, kind="Warning")
    if record.preempted and record.admitted:
        resumed = record.model_copy(update={"preempted": False, "clock_from": now, "queued": ""})
        resumed = resumed.with_condition("Suspended", "False", "Resumed", "TrainJob is resumed", now=now)
        return resumed.with_event("Resumed", "TrainJob is resumed", now=now)
    return record


def _wait_for_room(observed: Observed, record: Record) -> Decision:
    if observed.containers:
        return Decision(record=record, actions=(Remove(containers=observed.containers, why="preempted"),))
    return Decision(record=record, actions=(Admit(),))


def _keep_stopped(observed: Observed, record: Record) -> Decision:
    if observed.containers:
        return Decision(record=record, actions=(Remove(containers=observed.containers, why="suspended"),))
    return Decision(record=record)


def _judge(
    plan: JobPlan, observed: Observed, record: Record, verdict: Verdict | None, *, gang: bool, now: float
) -> Record:
    """Deadlines, failures and success, in upstream's order."""
    if plan.active_deadline is not None and now >= record.clock_from + plan.active_deadline:
        seconds = plan.active_deadline
        message = f"TrainJob exceeded its active deadline of {seconds:g} seconds"
        return fail(record, DEADLINE_EXCEEDED, message, now=now)
    verdict = verdict or _step_deadline(plan, record, now)
    if verdict is not None:
        record = record.model_copy(update={"steps_done": {**record.steps_done, verdict.step: "failed"}})
        return judge(plan, record, verdict, now=now)
    if gang:
        why = blame(record, Verdict(step="", index=0, reason=""))
        kept = record.step_failures
        restarted = restart_gang(record, now=now, counted=False, why=f"{why}.")
        return restarted.model_copy(update={"step_failures": kept})
    view = view_job(plan, observed, record)
    if _network_lost(view, observed, record):
        return restart_gang(record, now=now, counted=False, why="The job's network was removed.")
    done = {s.plan.name: "succeeded" for s in view.steps if not s.done and _step_succeeded(s)}
    if done:
        record = record.model_copy(update={"steps_done": {**record.steps_done, **done}})
    return complete(record, now=now) if _job_succeeded(plan, record) else record


def _step_deadline(plan: JobPlan, record: Record, now: float) -> Verdict | None:
    for step in plan.steps:
        started = record.step_started.get(step.name)
        limited = step.active_deadline is not None and step.name not in record.steps_done
        if limited and started is not None and now >= started + (step.active_deadline or 0):
            return Verdict(step=step.name, index=0, reason=DEADLINE_EXCEEDED)
    return None


def _network_lost(view: JobView, observed: Observed, record: Record) -> bool:
    """The network went from under containers that had started on it: nobody can reach anybody again."""
    if observed.network is not None or not record.network_id:
        return False
    return any(
        c.record.container_id and c.record.result is None and not i.plan.host_network
        for _, i, c in view.containers
    )


def _step_succeeded(step: StepView) -> bool:
    wanted = step.plan.completions if step.plan.completions is not None else step.plan.count
    return step.succeeded_pods >= min(wanted, step.plan.count)


def _job_succeeded(plan: JobPlan, record: Record) -> bool:
    """JobSet's success policy (``pkg/controllers/success_policy.go``)."""
    targets = plan.success_targets or tuple(s.name for s in plan.steps)
    results = [record.steps_done.get(name) == "succeeded" for name in targets]
    return any(results) if plan.success_operator == "Any" else all(results)


def _go_on(plan: JobPlan, observed: Observed, record: Record, now: float, policy: Policy) -> Decision:
    """Remove what is stale, then start what may start."""
    view = view_job(plan, observed, record)
    later = _min(_deadlines(plan, record), _silence_ends(plan, view, observed, record))
    actions: list[Action] = []
    if view.stale:
        actions.append(Remove(containers=view.stale, why="belongs to an earlier run"))
    if superfluous := _superfluous(view):
        actions.append(Stop(containers=superfluous, why="its work is done"))
    if now < record.attempt_not_before:
        return Decision(
            record=record, actions=tuple(actions), requeue_at=_min(later, record.attempt_not_before)
        )
    record = _mark_started(view, record, now)
    launches, waits = choose(plan, view, record, now)
    later = _min(later, *waits)
    if not launches:
        if record.queued or record.problem is not None:
            # Nothing is held up any more, or a start that was said to have failed has worked after all.
            record = record.model_copy(update={"queued": "", "problem": None})
        return Decision(record=record, actions=tuple(actions), requeue_at=later)
    if observed.refusal.message:
        return _wind_up(plan, observed, refuse(record, observed.refusal, now=now), now, policy)
    if not record.admitted:
        return Decision(record=record, actions=(*actions, Admit()), requeue_at=later)
    if (held := _held_until(record)) > now:
        return Decision(record=record, actions=tuple(actions), requeue_at=_min(later, held))
    actions.append(EnsureNetwork())
    pulls = _missing_images(plan, launches, observed, policy)
    if pulls:
        actions.append(PullImages(images=pulls))
        retries = [s.retry_at for i, _, _ in pulls if (s := observed.images.get(i)) and s.retry_at]
        return Decision(record=record, actions=tuple(actions), requeue_at=_min(later, *retries))
    actions.extend(launches)
    if record.started_at is None:
        record = record.model_copy(update={"started_at": now})
    return Decision(record=record, actions=tuple(actions), requeue_at=later)


def _held_until(record: Record) -> float:
    """Until when a problem keeps the job waiting; what images lack is tracked by the puller."""
    problem = record.problem
    return problem.retry_at if problem is not None and problem.reason != IMAGE_PROBLEM else 0.0


def _superfluous(view: JobView) -> tuple[ContainerState, ...]:
    """What still runs although its step is complete, or its pod's regular containers are (sidecars)."""
    return tuple(
        c.state
        for s, i, c in view.containers
        if c.state is not None
        and c.phase in {"running", "paused"}
        and (s.done or (i.succeeded and c.plan.kind == "sidecar"))
    )


def _silence_ends(plan: JobPlan, view: JobView, observed: Observed, record: Record) -> float | None:
    timeout, since = stall_timeout(plan), quiet_since(view, observed.activity, record)
    return since + timeout if timeout is not None and since is not None else None


def _deadlines(plan: JobPlan, record: Record) -> float | None:
    times = [record.clock_from + plan.active_deadline] if plan.active_deadline is not None else []
    for step in plan.steps:
        started = record.step_started.get(step.name)
        if step.active_deadline is not None and started is not None and step.name not in record.steps_done:
            times.append(started + step.active_deadline)
    return min(times, default=None)


def _min(*times: float | None) -> float | None:
    return min((t for t in times if t is not None), default=None)


def _mark_started(view: JobView, record: Record, now: float) -> Record:
    """Note when each step was first allowed to start (its own deadline counts from there)."""
    fresh = {
        s.plan.name: now
        for n, s in enumerate(view.steps)
        if s.plan.name not in record.step_started and not s.done and may_start(view, n)
    }
    return record.model_copy(update={"step_started": {**record.step_started, **fresh}}) if fresh else record


def effective_pull_policy(container: ContainerPlan, policy: Policy) -> str:
    """The manifest's imagePullPolicy if it says one, else the daemon's option."""
    return container.pull_policy or policy.pull_policy


def _missing_images(
    plan: JobPlan, launches: tuple[Launch, ...], observed: Observed, policy: Policy
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    wanted: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    for launch in launches:
        pod = plan.step(launch.step).pods[launch.index]
        for container in pod.containers:
            if container.name not in launch.containers or container.image in wanted:
                continue
            state = observed.images.get(container.image)
            if state is None or state.status != "present":
                chosen = effective_pull_policy(container, policy)
                wanted[container.image] = (container.image, chosen, pod.pull_secrets)
    return tuple(wanted.values())


def _wind_up(plan: JobPlan, observed: Observed, record: Record, now: float, policy: Policy) -> Decision:
    """A finished job: nothing of it runs; containers and network go by auto-remove or TTL."""
    expires = record.clock_from + plan.ttl if plan.ttl is not None else None
    if policy.auto_remove or (expires is not None and now >= expires):
        if record.cleaned and not observed.containers and observed.network is None:
            return Decision(record=record)
        actions: list[Action] = []
        if observed.containers:
            actions.append(Remove(containers=observed.containers, why="the job has finished"))
        return Decision(record=record, actions=(*actions, CleanUp()))
    running = tuple(c for c in observed.containers if c.state not in {"exited", "created"})
    stop = (Stop(containers=running, why="the job has finished"),) if running else ()
    return Decision(record=record, actions=stop, requeue_at=expires)
