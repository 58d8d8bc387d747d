"""A job's record: what must outlive its containers, and nothing that the engine can be asked.

Pure data; :mod:`reconciler.state.record_store` has it on disk. The status sidecar is its view; either one is
enough (:mod:`reconciler.state.record_recovery`).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

EVENTS_KEPT = 50


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ExitRecord(_Data):
    """How one run of a container ended.

    Attributes:
        code: exit status, 128 + signal for a signal; None unknown (removed by hand).
        reason: Completed, Error, OOMKilled, StartError, Removed, Stopped, DeadlineExceeded or Stalled.
        finished_at: seconds since the epoch.
    """

    code: int | None = None
    reason: str = ""
    message: str = ""
    finished_at: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether the container did its work."""
        return self.code == 0


class ContainerRecord(_Data):
    """One container of the current attempt, across its restarts.

    Attributes:
        restart: number of the run that is wanted now; containers labelled lower are stale.
        container_id: of that run, once seen.
        failures: runs that failed in this attempt (grows the back-off).
        result: how the wanted run ended; None while it has not.
        start_error: why the engine refused to start the wanted run; settled into a result.
        not_before: earliest start of the wanted run, seconds since the epoch.
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


class Failure(_Data):
    """The first failure of an attempt: what a person wants to know without opening a log."""

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


class Condition(_Data):
    """A Kubernetes condition; ``at`` is its last transition, seconds since the epoch."""

    type: str
    status: str
    reason: str
    message: str
    at: float


class EventRecord(_Data):
    """Something worth telling; ``type`` is Normal or Warning."""

    at: float
    type: str = "Normal"
    reason: str
    message: str
    count: int = 1


class Problem(_Data):
    """What keeps the job from going on right now; tried again with back-off."""

    reason: str
    message: str
    since: float
    count: int = 1
    retry_at: float = 0.0


class Timeline(_Data):
    """What moments were taken by: the wall clock is ``ahead`` of the time since the start ``boot``."""

    boot: str
    ahead: float


class Record(_Data):
    """Everything about a job that its manifest and the engine cannot tell.

    Attributes:
        job: the TrainJob document as accepted (immutable fields never change while it lives).
        runtime: the runtime document as it was at the job's first start; empty before.
        file: the manifest it came from, as an absolute path.
        attempt: number of the current gang, from 0; every gang restart and every resume is one more.
        restarts: gang restarts so far; ``counted_restarts`` those that count towards maxRestarts.
        step_restarts: the same of each step by itself since the last gang restart (JobSet's ``RestartJob``);
            ``counted_step_restarts`` those that count towards maxRestarts.
        timeline: what the moments below were taken by (:mod:`reconciler.controller.clock`).
        clock_from: what the deadline counts from: creation, or the last resume; the time to live: the end.
        steps_done: step to ``succeeded`` or ``failed``, of this attempt.
        step_failures: failures counted towards a step's backoffLimit.
        step_started: step to the time its first container was wanted.
        conditions: upstream's, in the order they first appeared.
        admitted: holds its ``share`` of the host (one that is queued asks for it); ``devices`` are those
            assigned, per instance and class.
        preempted: had to make room, and waits to be admitted again.
        queued: why it waits for admission; "" when it does not.
        rerun: the token of the last rerun that was honoured.
        rejected: the last refused change, said once.
        rejected_path: the first field that it would have changed.
        rejected_at: since when it has been refused.
        refused_under: digest of the policy that has refused the job; another one judges it anew.
        recovered: it was made from the sidecar and has not met the engine since.
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
    recovered: bool = False

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type."""
        return next((c for c in self.conditions if c.type == kind), None)

    def is_true(self, kind: str) -> bool:
        """Whether the condition stands and is True."""
        found = self.condition(kind)
        return found is not None and found.status == "True"

    @property
    def finished(self) -> bool:
        """Complete or Failed: final."""
        return self.is_true("Complete") or self.is_true("Failed")

    def container(self, name: str) -> ContainerRecord:
        """The record of a container; an empty one before it is known."""
        return self.containers.get(name) or ContainerRecord()

    def with_container(self, name: str, **changes: Any) -> Record:
        """A copy with fields of one container's record changed."""
        changed = self.container(name).model_copy(update=changes)
        return self.model_copy(update={"containers": {**self.containers, name: changed}})

    def with_condition(self, kind: str, status: str, reason: str, message: str, *, now: float) -> Record:
        """A copy with the condition set; the transition time changes only when the status does."""
        old = self.condition(kind)
        at = old.at if old is not None and old.status == status else now
        new = Condition(type=kind, status=status, reason=reason, message=message, at=at)
        if old is None:
            return self.model_copy(update={"conditions": (*self.conditions, new)})
        changed = tuple(new if c.type == kind else c for c in self.conditions)
        return self.model_copy(update={"conditions": changed})

    def with_event(self, reason: str, message: str, *, now: float, kind: str = "Normal") -> Record:
        """A copy with the event told; one equal to the last is counted instead of repeated."""
        if self.events:
            last = self.events[-1]
            if (last.reason, last.message, last.type) == (reason, message, kind):
                again = last.model_copy(update={"count": last.count + 1, "at": now})
                return self.model_copy(update={"events": (*self.events[:-1], again)})
        event = EventRecord(at=now, type=kind, reason=reason, message=message)
        return self.model_copy(update={"events": (*self.events, event)[-EVENTS_KEPT:]})
