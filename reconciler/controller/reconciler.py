"""One pass over one job: read, decide, save, act, tell; until nothing is left to do now.

The order within a pass is what makes a crash harmless: the record is saved before the actions it calls for,
so the next pass, of this daemon or another, finds either an action not yet done (and does it) or one done
(and sees it in the listing).
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import structlog

from reconciler.api.faults import Fault
from reconciler.controller.clock import Clock, follow, now_of, on_the_wall
from reconciler.controller.executor import stop
from reconciler.controller.executor.execution_context import Hands, log_place, place_of, selector
from reconciler.controller.executor.executor import Acting, Pull
from reconciler.controller.executor.redaction import Redactor
from reconciler.controller.nodeservices.progress.progress_reports import Inbox
from reconciler.controller.plan_cache import Planner
from reconciler.controller.scheduler.capacity import Ledger
from reconciler.controller.snapshots import Digest, digest
from reconciler.controller.statemachine.acceptance import Wanted, first_sight, snapshot, update
from reconciler.controller.statemachine.action_results import trouble
from reconciler.controller.statemachine.actions import Admit, Remove
from reconciler.controller.statemachine.decide import Policy, decide
from reconciler.controller.statemachine.observation import Observed, Probed, Refusal
from reconciler.controller.statemachine.restart_policy import with_last_words
from reconciler.controller.statemachine.stall_detection import STALLED, stall_timeout
from reconciler.controller.status import event_recorder
from reconciler.controller.status.status_builder import Surroundings, present
from reconciler.engines.protocol import ContainerState
from reconciler.errors import PlanError
from reconciler.plan.job_plan import JobPlan
from reconciler.sources.folder.catalog import RUNTIME_NOT_FOUND
from reconciler.state.record import Record

#: Passes over one job in a row; more means that decision and engine disagree, and time has to pass.
MAX_PASSES = 12
TAIL_LINES = 20
#: What touches nothing but the ledger, which is in memory: the pass after it saves and tells of both.
ONLY_ADMIT = (Admit(),)
#: Seconds for a log reader to come to its end by itself; after that the log is read once from the engine.
LAST_WORDS_TIMEOUT = 0.5

_log = structlog.get_logger(__name__)


class Outlet(Protocol):
    """Where a job's record and status go."""

    def load(self, key: str) -> Record | None:
        """The record, recovered from the sidecar if need be; None for a job never seen."""

    def told(self, record: Record) -> bool:
        """Whether the sidecar on disk is there and about this life of the job."""

    def save(self, record: Record) -> None:
        """Write the record for good.

        Raises:
            StateError: the disk refuses; nothing may be done on the engine then.
        """

    def tell(self, record: Record, document: Mapping[str, object], *, urgent: bool) -> None:
        """Show the status."""

    def moved(self, record: Record) -> None:
        """The manifest is not where this record says any more: the sidecar there goes."""

    def forget(self, record: Record) -> None:
        """The job is gone: so are record and sidecar."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What one call is about.

    Attributes:
        wanted: the manifest's side; None when the job is to be deleted.
        faults: what is wrong with the manifest now, shown beside the status.
        surroundings: the rest of what the status shows.
    """

    key: str
    wanted: Wanted | None
    faults: tuple[Fault, ...] = ()
    surroundings: Surroundings = field(default_factory=Surroundings)


class Reconciler:
    """Brings one job at a time nearer to what is wanted; safe to call for different jobs at once.

    Args:
        hands: how to act for a job; raises :class:`EngineUnavailable` while no engine answers.
        clock: the host's.
        probe: which of the listed containers' probes pass.
        pull: asks for an image.
        priority: of a job among those that wait for admission; the higher goes first.
        refusal: what the policy has against a job.
        inbox: what trainings have reported; None: nobody listens to them.
    """

    def __init__(
        self,
        *,
        hands: Callable[[JobPlan | None, Record], Hands],
        outlet: Outlet,
        planner: Planner,
        ledger: Ledger,
        policy: Policy,
        clock: Clock,
        probe: Callable[[JobPlan, Observed], Probed],
        pull: Pull,
        priority: Callable[[JobPlan], int] = lambda _plan: 0,
        refusal: Callable[[JobPlan, Record], Refusal] = lambda _plan, _record: Refusal(),
        inbox: Inbox | None = None,
    ) -> None:
        self._hands = hands
        self._outlet = outlet
        self._planner = planner
        self._ledger = ledger
        #: Replaced as a whole when settings are read again.
        self.policy = policy
        self._clock = clock
        self._acting = Acting(ledger=ledger, clock=clock, pull=pull, priority=priority)
        self._probe = probe
        self._refusal = refusal
        self._inbox = inbox
        #: What the last listing of each job was; a resync compares, so that jobs at rest cost nothing.
        self.seen: dict[str, Digest] = {}

    def reconcile(self, request: Request) -> float | None:
        """One job, as far as it goes now.

        Returns:
            When to look again, seconds since the epoch; None: when something happens.

        Raises:
            EngineUnavailable: nobody answers; nothing was changed by guess.
            EngineError: a listing failed.
            StateError: the record could not be written; nothing was done.
        """
        old = self._outlet.load(request.key)
        timeline = self._clock.timeline()
        now = self._clock.on(timeline)
        if request.wanted is None:
            self._delete(request.key, old, now)
            return None
        uid = str(uuid.uuid4())
        record = (
            update(old, request.wanted, uid=uid, now=now)
            if old is not None
            else first_sight(request.wanted, uid=uid, now=now)
        )
        record = follow(record, timeline, now=now)
        if self._inbox is not None:
            heard = record
            record = self._inbox.applied(record, mask=lambda status: self._masked(heard, status))
        if record == old and record.finished and record.cleaned and self._outlet.told(record):
            return None
        if old is not None and old.file and old.file != record.file:
            self._outlet.moved(old)
        record = self._snapshot(record, request.wanted, request.faults, now)
        saved = self._save(record, old)
        if not record.runtime:
            self._tell(request, None, None, record, old)
            return None
        try:
            plan = self._planner.plan(record)
        except PlanError as error:
            if not record.admitted:
                # It waits for its manifest now, and nobody behind it in the queue for it.
                self._ledger.drop(record.key)
            record = self._save(trouble(saved, "PlanFailed", str(error), now=now), saved)
            self._tell(request, None, None, record, old)
            return None
        return self._converge(request, plan, event_recorder.ignored_fields(record, plan, now=now), saved)

    def _snapshot(self, record: Record, wanted: Wanted, faults: Iterable[Fault], now: float) -> Record:
        if record.runtime:
            return record
        if wanted.runtime is not None:
            return snapshot(record, wanted.runtime).model_copy(update={"problem": None})
        ref = wanted.job.get("spec", {}).get("runtimeRef", {})
        kind, name = ref.get("kind", "ClusterTrainingRuntime"), ref.get("name", "")
        message = (
            f"spec.runtimeRef: the {kind} {name!r} is not there; it must be created before the job. "
            "Add it to the folder, and the job starts by itself."
        )
        for fault in faults:
            if fault.reason == RUNTIME_NOT_FOUND and fault.path == "spec.runtimeRef":
                # It is there, and wrong.
                message = f"spec.runtimeRef: {fault.message}. The job starts by itself then."
        return trouble(record, "RuntimeNotFound", message, now=now)

    def _converge(self, request: Request, plan: JobPlan, record: Record, saved: Record) -> float | None:
        hands = self._hands(plan, record)
        observed = self._observe(plan, hands, now_of(record, self._clock))
        refusal = self._refusal(plan, record) if not record.finished else Refusal()
        record = event_recorder.policy_in_force(
            record, refusal, notes=lambda: hands.guard.notes(plan), now=now_of(record, self._clock)
        )
        observed = replace(observed, refusal=refusal)
        if not record.finished:
            record = event_recorder.unheard(
                record, _deafness(plan, observed, hands), now=now_of(record, self._clock)
            )
        requeue_at: float | None = None
        for _ in range(MAX_PASSES):
            decision = decide(plan, observed, record, now_of(record, self._clock), self.policy)
            requeue_at = decision.requeue_at
            record = self._with_log_tail(plan, decision.record, hands)
            if record.finished and not saved.finished:
                # Who is told of the end finds what was printed before it.
                ended = [state.id for state in observed.containers if state.state == "exited"]
                hands.logs.heard_out(ended, timeout=LAST_WORDS_TIMEOUT)
            if decision.actions != ONLY_ADMIT:
                # The record first: an end that was told and then forgotten would be an end reversed.
                told, saved = saved, self._save(record, saved)
                self._tell(request, plan, observed, record, told)
            self._ledger.follow(record)
            after, seen, touched = self._acting.carry_out(plan, record, observed, decision.actions, hands)
            rests = not touched and after == record and seen == observed
            record, observed = after, seen
            if rests or not decision.actions:
                break
            if touched:
                observed = replace(self._observe(plan, hands, now_of(record, self._clock)), refusal=refusal)
        else:
            # Decision and engine disagree for now; nothing but time may tell of the next chance.
            requeue_at = min(now_of(record, self._clock) + 1.0, requeue_at or math.inf)
        saved = self._save(record, saved)
        self._tell(request, plan, observed, record, saved)
        held = record.problem.retry_at if record.problem is not None else None
        # Past its time it has been tried again in this pass, or nothing is waiting for it any more.
        now = now_of(record, self._clock)
        held = held if held is not None and held > now else None
        again = min((t for t in (requeue_at, held) if t is not None), default=None)
        return on_the_wall(again, record, self._clock) if again is not None else None

    def _observe(self, plan: JobPlan, hands: Hands, now: float) -> Observed:
        """One listing; it succeeds as a whole or raises."""
        mine = selector(plan.namespace, plan.name, hands.host.instance)
        containers = tuple(hands.engine.list_containers(mine))
        for state in containers:
            if state.state in {"running", "paused"}:
                hands.logs.attach(state.id, place_of(state))
        networks = hands.engine.list_networks(mine)
        network = next((n for n in networks if n.name == plan.network), None)
        observed = Observed(containers=containers, network=network)
        self.seen[f"{plan.namespace}/{plan.name}"] = digest(containers, networks)
        activity = _activity(containers, hands, now) if stall_timeout(plan) is not None else {}
        room = self._ledger.making_room_for(f"{plan.namespace}/{plan.name}")
        probed = self._probe(plan, observed)
        return replace(observed, probed=probed, activity=activity, make_room_for=room)

    def _with_log_tail(self, plan: JobPlan, record: Record, hands: Hands) -> Record:
        """The last lines of the first failure's log, so that nobody has to open it to know why."""
        failure = record.failure
        if failure is None or failure.log or failure.reason == "StartError":
            return record
        place = replace(log_place(record, failure.container), attempt=failure.attempt)
        # The others wait to be stopped meanwhile. One that is stalled runs on: there is no end to wait for.
        if failure.container_id and failure.reason != STALLED:
            hands.logs.finish(failure.container_id, place, timeout=LAST_WORDS_TIMEOUT)
        mask = Redactor(plan, hands.lookup).text
        lines = tuple(mask(line) for line in hands.logs.tail(place, TAIL_LINES)) or ("(it printed nothing)",)
        return with_last_words(record, lines)

    def _delete(self, key: str, known: Record | None, now: float) -> None:
        """The manifest is gone: everything the job has on the engine goes, logs stay.

        What carries this folder's labels and has no record (lost, or left by a crash) goes as well.
        """
        if self._inbox is not None:
            self._inbox.forget(key)
        namespace, _, name = key.partition("/")
        record = known or Record(namespace=namespace, name=name, uid="", created_at=now)
        plan = self._plan_if_any(record)
        hands = self._hands(plan, record)
        mine = selector(record.namespace, record.name, hands.host.instance)
        containers = tuple(hands.engine.list_containers(mine))
        if known is None and not containers and not hands.engine.list_networks(mine):
            self.seen.pop(key, None)
            return
        if containers:
            stop.stop(plan, Remove(containers=containers, why="the manifest was removed"), hands)
        stop.clean_up(record, hands, volumes=True)
        self._outlet.forget(record)
        self._ledger.drop(record.key)
        self._planner.forget(record.key)
        self.seen.pop(record.key, None)
        _log.info("job deleted")

    def _masked(self, record: Record, reported: dict[str, Any]) -> dict[str, Any]:
        """A report without the job's secrets; metrics are words of the script's own."""
        metrics = reported.get("metrics")
        if not metrics:
            return reported
        plan = self._plan_if_any(record)
        if plan is None:
            # Nobody knows which secrets those would be.
            return {key: value for key, value in reported.items() if key != "metrics"}
        mask = Redactor(plan, self._hands(plan, record).lookup).text
        return {**reported, "metrics": [{key: mask(text) for key, text in one.items()} for one in metrics]}

    def _plan_if_any(self, record: Record) -> JobPlan | None:
        try:
            return self._planner.plan(record) if record.runtime else None
        except PlanError:
            return None

    def _save(self, record: Record, saved: Record | None) -> Record:
        if record != saved:
            self._outlet.save(record)
        if self._inbox is not None:
            self._inbox.saved(record)
        return record

    def _tell(
        self,
        request: Request,
        plan: JobPlan | None,
        observed: Observed | None,
        record: Record,
        before: Record | None,
    ) -> None:
        around = replace(request.surroundings, faults=request.faults)
        document = present(plan, observed, record, around)
        urgent = before is None or record.finished != before.finished
        self._outlet.tell(record, document, urgent=urgent)


def _deafness(plan: JobPlan, observed: Observed, hands: Hands) -> str:
    """See that what runs is heard (a daemon that has just started), or say why it is not."""
    if observed.network is None:
        return ""
    bridged = not any(i.host_network for i in plan.pods)
    running = bridged and any(c.state == "running" for c in observed.containers)
    return hands.reach(plan, observed.network, running).trouble


def _activity(containers: Iterable[ContainerState], hands: Hands, now: float) -> dict[str, float]:
    silent = {c.id: hands.logs.silence(c.id) for c in containers if c.state == "running"}
    return {identifier: now - seconds for identifier, seconds in silent.items() if seconds is not None}
