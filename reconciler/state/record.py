"""A job's record: what must outlive its containers, and nothing that the engine can be asked for.

Pure data, stored by :mod:`reconciler.state.record_store`. The status sidecar is its view; either one is
enough (:mod:`reconciler.state.recovery.record_recovery`). Field names are on disk: a renamed field is lost.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from reconciler.state.kept_logs.log_paths import LogLocation
from reconciler.state.record_events import EventRecord, append_event


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    def replace(self, **changes: Any) -> Self:
        """A copy with fields changed."""
        return self.model_copy(update=changes)


class ExitRecord(_Frozen):
    """How one run of a container ended.

    Attributes:
        code: exit status, 128 + signal for a signal; None: unknown (removed by hand).
        reason: Completed, Error, OOMKilled, StartError, Removed, Stopped, DeadlineExceeded or Stalled.
        finished_at: seconds since the epoch.
    """

    code: int | None = None
    reason: str = ""
    message: str = ""
    finished_at: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the exit status is 0."""
        return self.code == 0


class ContainerRecord(_Frozen):
    """One container of the current attempt, across its restarts.

    Attributes:
        restart: number of the desired run; containers labelled lower are out of date.
        container_id: of that run, once observed.
        failures: runs that failed in this attempt (they lengthen the back-off).
        result: how the desired run ended; None while it has not.
        start_error: why the engine refused to start the desired run; becomes its result.
        not_before: earliest start of the desired run, seconds since the epoch.
    """

    restart: int = 0
    container_id: str = ""
    ip: str = ""
    failures: int = 0
    result: ExitRecord | None = None
    last_result: ExitRecord | None = None
    start_error: str = ""
    not_before: float = 0.0
    started_at: float | None = None


class Failure(_Frozen):
    """The first failure of an attempt, with what a person needs to know without opening a log."""

    attempt: int = 0
    step: str
    container: str
    container_id: str = ""
    rank: int | None = None
    index: int = 0
    code: int | None = None
    reason: str = ""
    message: str = ""
    at: float = 0.0
    log: tuple[str, ...] = ()


class Condition(_Frozen):
    """A Kubernetes condition; ``at`` is its last transition, seconds since the epoch."""

    type: str
    status: str
    reason: str
    message: str
    at: float


class Problem(_Frozen):
    """What keeps the job from progressing now; tried again with back-off."""

    reason: str
    message: str
    since: float
    count: int = 1
    retry_at: float = 0.0


class Timeline(_Frozen):
    """The clock of recorded times: the wall clock is ``ahead`` of the time since the start ``boot``."""

    boot: str
    ahead: float


class Record(_Frozen):
    """Everything about a job that neither its manifest nor the engine has.

    Attributes:
        job: the TrainJob document as accepted (immutable fields never change while it lives).
        runtime: the runtime document as it was at the job's first start; empty before.
        file: the manifest it came from, as an absolute path.
        attempt: number of the current attempt, from 0; every restart of the whole job and every resume adds
            one.
        restarts: restarts of the whole job so far; ``counted_restarts``: those that count towards
            maxRestarts.
        step_restarts: restarts of each step alone since the whole job last restarted (JobSet's
            ``RestartJob``); ``counted_step_restarts``: those that count towards maxRestarts.
        timeline: the clock of the times below (:mod:`reconciler.controller.clock`).
        clock_from: start of the deadline (creation, or the last resume); of the time to live, the end.
        steps_done: step to ``succeeded`` or ``failed``, of this attempt.
        step_failures: failures counted towards a step's backoffLimit.
        step_started: step to the time at which its first container was desired.
        conditions: upstream's, in the order they first appeared.
        admitted: holds its ``share`` of the host (one that is queued asks for it); ``devices`` are those
            assigned, per pod and class.
        preempted: made room for another job, and waits to be admitted again.
        queued: why it waits for admission; "" when it does not.
        rerun: token of the last rerun that was carried out.
        rejected: why the last change was refused; reported once.
        rejected_path: the first field that it would have changed.
        rejected_at: when it was refused first, seconds since the epoch.
        refused_under: digest of the policy that refused the job; another policy checks it again.
        end_pending: it has ended, and this is told when the logs are on disk.
        log_problem: why a log cannot be written now; "" when all can be.
        log_problem_since: since when, seconds since the epoch.
        recovered: made from the sidecar or from containers, and not compared with the engine since.
        unseen: new, and the engine was not looked at for it yet.
        earlier_ids: containers of earlier runs, until they are gone: by its id one is known that was renamed.
        strays: ids of what carries the job's labels, is not its own, and was reported.
        unstarted: no container of this uid is known to have started, ever; False also where that is unknown
            (a record of an earlier version, or recovered).
    """

    version: int = 1
    namespace: str
    name: str
    uid: str
    created_at: float
    generation: int = 1
    observed_generation: int = 0
    job: dict[str, Any] = {}
    runtime: dict[str, Any] = {}
    seen_spec: dict[str, Any] = {}
    #: Digest of the runtime as it was seen last, while nothing has started.
    seen_runtime: str = ""
    file: str = ""
    attempt: int = 0
    restarts: int = 0
    counted_restarts: int = 0
    step_restarts: dict[str, int] = {}
    counted_step_restarts: dict[str, int] = {}
    attempt_not_before: float = 0.0
    timeline: Timeline | None = None
    clock_from: float = 0.0
    suspended: bool = False
    network_id: str = ""
    subnet: str = ""
    gateway: str = ""
    port: int | None = None
    containers: dict[str, ContainerRecord] = {}
    steps_done: dict[str, str] = {}
    step_failures: dict[str, int] = {}
    step_started: dict[str, float] = {}
    failure: Failure | None = None
    conditions: tuple[Condition, ...] = ()
    finished_at: float | None = None
    cleaned: bool = False
    started_at: float | None = None
    problem: Problem | None = None
    admitted: bool = False
    share: dict[str, float] = {}
    priority: int = 0
    preempted: bool = False
    devices: dict[str, dict[str, tuple[str, ...]]] = {}
    queued: str = ""
    trainer_status: dict[str, Any] = {}
    #: When the script last reported progress, seconds since the epoch.
    progress_at: float = 0.0
    warned: tuple[str, ...] = ()
    events: tuple[EventRecord, ...] = ()
    rerun: str = ""
    rejected: str = ""
    rejected_path: str = ""
    rejected_at: float = 0.0
    refused_under: str = ""
    end_pending: bool = False
    log_problem: str = ""
    log_problem_since: float = 0.0
    recovered: bool = False
    unseen: bool = False
    earlier_ids: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    unstarted: bool = False

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, True or not."""
        return next((c for c in self.conditions if c.type == kind), None)

    def is_true(self, kind: str) -> bool:
        """Whether the condition is there and True."""
        found = self.condition(kind)
        return found is not None and found.status == "True"

    @property
    def finished(self) -> bool:
        """Whether the job is Complete or Failed, which is final."""
        return self.is_true("Complete") or self.is_true("Failed")

    @property
    def container_ids(self) -> tuple[str, ...]:
        """Ids of all containers that are known to be the job's, of earlier runs too."""
        return (*self.earlier_ids, *(c.container_id for c in self.containers.values() if c.container_id))

    def log_location(self, container: str) -> LogLocation:
        """Where the log of a container of the current attempt goes."""
        return LogLocation(
            namespace=self.namespace,
            job=self.name,
            attempt=self.attempt,
            container=container,
            uid=self.uid,
            current=True,
        )

    def container(self, name: str) -> ContainerRecord:
        """The record of a container; an empty one before there is any."""
        return self.containers.get(name) or ContainerRecord()

    def with_container(self, name: str, **changes: Any) -> Record:
        """A copy with fields of one container's record changed."""
        changed = self.container(name).replace(**changes)
        return self.replace(containers={**self.containers, name: changed})

    def with_condition(self, kind: str, status: str, reason: str, message: str, *, now: float) -> Record:
        """A copy with the condition set; the transition time changes only when the status does."""
        old = self.condition(kind)
        at = old.at if old is not None and old.status == status else now
        new = Condition(type=kind, status=status, reason=reason, message=message, at=at)
        if old is None:
            return self.replace(conditions=(*self.conditions, new))
        changed = tuple(new if c.type == kind else c for c in self.conditions)
        return self.replace(conditions=changed)

    def with_event(self, reason: str, message: str, *, now: float, kind: str = "Normal") -> Record:
        """A copy with the event appended; one equal to the last is counted instead of repeated."""
        event = EventRecord(at=now, type=kind, reason=reason, message=message)
        return self.replace(events=append_event(self.events, event))
