"""One pass over one job: read, decide, save, act, report; until nothing is left to do now.

The order within a pass is what makes a crash harmless: the record is saved before the actions it calls for,
so the next pass, of this daemon or another, finds either an action not yet done (and does it) or one done
(and sees it in the listing).
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from reconciler.controller.clock import Clock, rebase, record_now, to_wall_clock
from reconciler.controller.enforcement.host_paths import HostPathUnansweredError
from reconciler.controller.engine_session import EngineSession
from reconciler.controller.executor.cleanup import clean_up
from reconciler.controller.executor.execution_context import ExecutionContext, observe_logs
from reconciler.controller.executor.executor import Executor
from reconciler.controller.executor.redaction import secret_mask
from reconciler.controller.executor.stop import stop_containers
from reconciler.controller.missing_containers import confirm_missing
from reconciler.controller.nodeservices.progress.progress_reports import ProgressReports
from reconciler.controller.plan_cache import PlanCache
from reconciler.controller.relist import Snapshot, snapshot
from reconciler.controller.scheduler.capacity import HostCapacity
from reconciler.controller.statemachine import event_recorder
from reconciler.controller.statemachine.acceptance import DesiredJob, accept_manifest, pin_runtime
from reconciler.controller.statemachine.actions import HOST_PATH_UNANSWERED, Admit, Remove
from reconciler.controller.statemachine.attempts import record_problem
from reconciler.controller.statemachine.decide import DecisionOptions, decide
from reconciler.controller.statemachine.failures.failure_policy import add_log_tail
from reconciler.controller.statemachine.failures.stall_detection import stall_timeout, stall_timeout_faults
from reconciler.controller.statemachine.failures.step_failure import STALLED
from reconciler.controller.statemachine.observation import LogState, Observed, PolicyRefusal
from reconciler.controller.statemachine.ownership import observe, own_containers, take_over
from reconciler.controller.status.status_builder import StatusContext, build_status
from reconciler.engines.protocol import ContainerState
from reconciler.errors import PlanError, StateError
from reconciler.names import job_key
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record
from reconciler.state.state_store import StateStore

#: Decisions over one job in a row; more means that decision and engine disagree, and time has to pass.
MAX_ROUNDS = 12
#: Lines of a failed container's log that the status shows.
LOG_TAIL_LINES = 20
#: Changes nothing but the host's capacity, which is in memory: the next round saves and reports it.
ONLY_ADMIT = (Admit(),)
#: Seconds that a pass which sees an end waits for the rest of the logs: ordinary ones are read by then, and
#: those that are not queue their job again.
LOG_PATIENCE = 0.05

_log = structlog.get_logger(__name__)


class Reconciler:
    """Brings one job at a time nearer to its desired state; safe to call for different jobs at once."""

    def __init__(
        self,
        *,
        engine: EngineSession,
        state: StateStore,
        plans: PlanCache,
        capacity: HostCapacity,
        progress_reports: ProgressReports,
        options: DecisionOptions,
        clock: Clock,
    ) -> None:
        #: Replaced as a whole when settings are read again.
        self.options = options
        #: Of each job's last listing, for the relist to compare with.
        self.snapshots: dict[str, Snapshot] = {}
        #: What of deleted jobs could not be removed, and was said.
        self._left: dict[str, str] = {}
        self._engine = engine
        self._state = state
        self._plans = plans
        self._capacity = capacity
        self._reports = progress_reports
        self._clock = clock
        self._executor = Executor(capacity=capacity, clock=clock)

    def apply(self, desired: DesiredJob, status_context: StatusContext) -> float | None:
        """Bring one job as near to its manifest as it gets now.

        Returns:
            When to make the next pass, seconds since the epoch; None: when something happens.

        Raises:
            EngineUnavailable: no engine answers; nothing was changed by guess.
            EngineError: a listing failed.
            StateError: the record could not be written; nothing was done.
        """
        old = self._state.load(job_key(desired.namespace, desired.name))
        timeline = self._clock.timeline()
        now = self._clock.now_on(timeline)
        record = accept_manifest(
            old,
            desired,
            uid=str(uuid.uuid4()),
            now=now,
            has_started=lambda: old is not None and self._engine.has_started(old),
        )
        record = self._apply_report(rebase(record, timeline, now=now))
        if record == old and record.finished and record.cleaned and self._state.status_is_current(record):
            return None
        if old is not None:
            # Whose containers those of a new one are is seen first.
            self._state.claim_logs(record, old)
        if old is not None and old.file and old.file != record.file:
            self._state.remove_outdated_sidecar(old)
        record = pin_runtime(record, desired, status_context.faults, now=now)
        saved = self._save(record, old)
        if not record.runtime:
            self._write_status(None, None, record, old, status_context)
            return None
        try:
            plan = self._plans.plan(record)
        except PlanError as error:
            if not record.admitted:
                # It waits for its manifest now, and no job behind it in the queue should wait for it.
                self._capacity.remove(record.key)
            record = self._save(record_problem(saved, "PlanFailed", str(error), now=now), saved)
            self._write_status(None, None, record, old, status_context)
            return None
        warnings = (*plan.warnings, *stall_timeout_faults(plan))
        record = event_recorder.record_ignored_fields(record, warnings, now=now)
        record = event_recorder.record_cluster_differences(record, plan.cluster_differences, now=now)
        return self._converge(plan, record, saved, status_context)

    def delete(self, key: str, status_context: StatusContext) -> bool:
        """Remove what a job without manifest has on the engine, its record and its status; logs stay.

        While its containers stop, the status says Terminating.
        What carries this folder's labels and has no record (lost, or left by a crash) is removed as well.

        Returns:
            False while logs are being read first.

        Raises:
            EngineUnavailable: no engine answers.
            EngineError: not everything could be removed.
            StateError: a log cannot be written, or the record not be removed.
        """
        known = self._state.load(key)
        self._reports.forget(key)
        namespace, _, name = key.partition("/")
        record = known or Record(namespace=namespace, name=name, uid="", created_at=self._clock())
        plan = self._plans.plan_if_valid(record)
        context = self._engine.context(plan, record)
        containers = own_containers(context.engine.list_containers(context.selector), plan, record)
        if containers:
            if known is not None:
                self._write_terminating(plan, known, containers, status_context)
            remove = Remove(containers=containers, why="the manifest was removed")
            if stop_containers(plan, remove, context).unfinished:
                problems = [log.problem for log in observe_logs(containers, context).values() if log.problem]
                if problems:
                    raise StateError(f"{problems[0]} The containers stay until it can.")
                return False
        left = clean_up(context, claims=True).problem
        self._log_left(key, left[1] if left is not None else "")
        if known is None and not containers:
            self.snapshots.pop(key, None)
            return True
        self._state.forget(record)
        self._capacity.remove(record.key)
        self._plans.forget(record.key)
        self.snapshots.pop(record.key, None)
        _log.info("job deleted")
        return True

    def _log_left(self, key: str, left: str) -> None:
        """Say once what of a deleted job strays still use; each relist tries again to remove it."""
        if left and self._left.get(key) != left:
            _log.warning("deleted job left something", reason=left)
        if left:
            self._left[key] = left
        else:
            self._left.pop(key, None)

    def _write_terminating(
        self,
        plan: JobPlan | None,
        record: Record,
        containers: tuple[ContainerState, ...],
        status_context: StatusContext,
    ) -> None:
        """Say in the status that the job's containers are being stopped, as long as that takes."""
        context = replace(status_context, terminating_since=self._now(record))
        observed = Observed(containers=containers, network=None)
        document = build_status(plan, observed, record, context)
        self._state.write_status(record, document, urgent=True)

    # -- the rounds of a pass

    def _converge(
        self, plan: JobPlan, record: Record, saved: Record, status_context: StatusContext
    ) -> float | None:
        """Decide and act until nothing is left to do now; returns when to make the next pass."""
        context = self._engine.context(plan, record)
        observed = self._observe(plan, record, context)
        if record.unseen:
            record = take_over(observed, record)
            self._state.claim_logs(record, None)
            # The uid is part of the plan, where the manifest asks for it.
            plan = self._plans.plan(record)
            context = self._engine.context(plan, record)
        try:
            record, refusal = self._check_policy(plan, record, context)
        except HostPathUnansweredError as error:
            record = record_problem(record, HOST_PATH_UNANSWERED, str(error), now=self._now(record))
            if not observed.containers and not record.suspended:
                return self._wait_for_host(plan, observed, record, saved, status_context)
            # What runs goes on; what would have to be started mounts the path, and fails in the same way.
            refusal = PolicyRefusal()
        if not record.finished:
            problem = _open_progress_endpoints(plan, observed, context)
            record = event_recorder.record_progress_unavailable(record, problem, now=self._now(record))
        observed = replace(observed, refusal=refusal)
        requeue_at: float | None = None
        for _ in range(MAX_ROUNDS):
            decision = decide(plan, observed, record, self._now(record), self.options)
            requeue_at = decision.requeue_at
            record = self._with_log_tail(plan, decision.record, context)
            if decision.actions != ONLY_ADMIT:
                # The record first: an end that was reported and then forgotten would be an end reversed.
                before, saved = saved, self._save(record, saved)
                self._write_status(plan, observed, record, before, status_context)
            self._capacity.sync(record)
            last_record, last_observed = record, observed
            record, observed, relist = self._executor.execute(
                plan, record, observed, decision.actions, context
            )
            at_rest = not relist and record == last_record and observed == last_observed
            if at_rest or not decision.actions:
                break
            if relist:
                observed = replace(self._observe(plan, record, context), refusal=refusal)
        else:
            # Decision and engine disagree for now, and nothing but time may change that.
            requeue_at = min(self._now(record) + 1.0, requeue_at or math.inf)
        saved = self._save(record, saved)
        self._write_status(plan, observed, record, saved, status_context)
        return self._next_pass_at(record, requeue_at)

    def _check_policy(
        self, plan: JobPlan, record: Record, context: ExecutionContext
    ) -> tuple[Record, PolicyRefusal]:
        """The record with what the policy does to the job, and why it refuses it.

        Raises:
            HostPathUnansweredError: a path of the host cannot be looked at for now.
        """
        if record.finished:
            return record, PolicyRefusal()
        refusal = self._engine.policy_refusal(plan, record)
        if record.problem is not None and record.problem.reason == HOST_PATH_UNANSWERED:
            record = record.replace(problem=None)
        notes = partial(context.enforcer.read_only_notes, plan)
        return event_recorder.record_policy_effects(
            record, refusal, notes=notes, now=self._now(record)
        ), refusal

    def _wait_for_host(
        self, plan: JobPlan, observed: Observed, record: Record, saved: Record, context: StatusContext
    ) -> float | None:
        """Report what a job that has nothing on the engine waits for; returns when to make the next pass."""
        if not record.admitted:
            # No job behind it in the queue should wait for it.
            self._capacity.remove(record.key)
        record = self._save(record, saved)
        self._write_status(plan, observed, record, saved, context)
        return self._next_pass_at(record, None)

    def _next_pass_at(self, record: Record, requeue_at: float | None) -> float | None:
        """The earlier of the decision's time and the next try of a problem, by the wall clock."""
        retry_at = record.problem.retry_at if record.problem is not None else None
        if retry_at is not None and retry_at <= self._now(record):
            # It was tried again in this pass, or nothing waits for it any more.
            retry_at = None
        earliest = min((t for t in (requeue_at, retry_at) if t is not None), default=None)
        return to_wall_clock(earliest, record, self._clock) if earliest is not None else None

    def _observe(self, plan: JobPlan, record: Record, context: ExecutionContext) -> Observed:
        """List the job on the engine; it succeeds as a whole or raises."""
        key = job_key(plan.namespace, plan.name)
        listed = context.engine.list_containers(context.selector)
        confirm_missing(context.engine, listed, record)
        networks = context.engine.list_networks(context.selector)
        self.snapshots[key] = snapshot(listed, networks)
        observed = observe(listed, networks, plan, record)
        containers = observed.containers
        observe_logs(containers, context)
        context.logs.wait((state.id for state in containers), timeout=LOG_PATIENCE)
        logs = observe_logs(containers, context) | _logs_of_removed(record, containers, context)
        observed = replace(observed, logs=logs)
        watches_stalls = stall_timeout(plan) is not None
        return replace(
            observed,
            last_output=_last_output(containers, context, self._now(record)) if watches_stalls else {},
            preempted_by=self._capacity.preempted_by(key),
            probes=self._engine.probe(plan, observed),
        )

    def _with_log_tail(self, plan: JobPlan, record: Record, context: ExecutionContext) -> Record:
        """Put the last lines of the first failure's log into the record, for the status to show."""
        failure = record.failure
        if failure is None or failure.reason == "StartError":
            return record
        if failure.log:
            # Known since the first try; the condition came after the last one.
            return add_log_tail(record, failure.log)
        location = replace(record.log_location(failure.container), attempt=failure.attempt)
        state = context.logs.state(failure.container_id)
        # A stalled container runs on: there is no end to wait for.
        if state is not None and state.progress in {"following", "reading"} and failure.reason != STALLED:
            return record
        mask = secret_mask(plan, context.lookup)
        lines = tuple(mask(line) for line in context.logs.tail(location, LOG_TAIL_LINES))
        return add_log_tail(record, lines or ("(it printed nothing)",))

    # -- records, statuses, reports

    def _now(self, record: Record) -> float:
        return record_now(record, self._clock)

    def _save(self, record: Record, saved: Record | None) -> Record:
        if record != saved:
            self._state.save(record)
        self._reports.discard_saved(record)
        return record

    def _write_status(
        self,
        plan: JobPlan | None,
        observed: Observed | None,
        record: Record,
        before: Record | None,
        status_context: StatusContext,
    ) -> None:
        document = build_status(plan, observed, record, status_context)
        ended, told = record.finished, record.end_pending
        urgent = before is None or (ended, told) != (before.finished, before.end_pending)
        self._state.write_status(record, document, urgent=urgent)

    def _apply_report(self, record: Record) -> Record:
        return self._reports.apply_to(record, mask=lambda status: self._mask_report(record, status))

    def _mask_report(self, record: Record, status: dict[str, Any]) -> dict[str, Any]:
        """A progress report with the job's secrets masked in its metrics, which are free text."""
        metrics = status.get("metrics")
        if not metrics:
            return status
        plan = self._plans.plan_if_valid(record)
        if plan is None:
            # Without a plan it is unknown which secrets those would be.
            return {key: value for key, value in status.items() if key != "metrics"}
        mask = secret_mask(plan, self._engine.context(plan, record).lookup)
        return {**status, "metrics": [{key: mask(text) for key, text in one.items()} for one in metrics]}


def _open_progress_endpoints(plan: JobPlan, observed: Observed, context: ExecutionContext) -> str:
    """Open the endpoints of containers that run already (a daemon that has just started); why it cannot."""
    if observed.network is None:
        return ""
    bridged = not any(pod.host_network for pod in plan.pods)
    running = bridged and any(c.state == "running" for c in observed.containers)
    return context.progress_endpoints(observed.network, running).problem


_REMOVED_UNREAD: Final = LogState("lost", "The container was removed while no daemon read it.")


def _logs_of_removed(
    record: Record, containers: Iterable[ContainerState], context: ExecutionContext
) -> dict[str, LogState]:
    """How far the logs are of the attempt's containers that somebody else has removed.

    What they printed last may still be read: a file that is open outlives its removal. What went while no
    daemon read it is lost, unless an earlier one has read all of it.
    """
    told = record.finished and not record.end_pending
    listed = {state.id for state in containers}
    logs: dict[str, LogState] = {}
    for name, container in record.containers.items():
        identifier = container.container_id
        state = context.logs.state(identifier) if identifier not in listed else None
        if state is not None and state.progress == "following":
            state = context.logs.finish(identifier, record.log_location(name), ended_at=None)
        if state is None and identifier not in listed and container.started_at is not None and not told:
            whole = context.logs.was_completed(identifier, record.log_location(name))
            state = None if whole else _REMOVED_UNREAD
        if state is not None:
            logs[identifier] = state
    return logs


def _last_output(
    containers: Iterable[ContainerState], context: ExecutionContext, now: float
) -> dict[str, float]:
    """When each running container printed something last, where that is known."""
    silence = {c.id: context.logs.seconds_since_output(c.id) for c in containers if c.state == "running"}
    return {identifier: now - seconds for identifier, seconds in silence.items() if seconds is not None}
