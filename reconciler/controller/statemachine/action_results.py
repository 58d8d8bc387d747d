"""From how an action went to what the record keeps of it. Pure."""

from __future__ import annotations

from reconciler.controller.statemachine.actions import Outcome
from reconciler.controller.statemachine.exits import describe_code
from reconciler.controller.statemachine.observation import generation_of
from reconciler.controller.status.event_recorder import unheard
from reconciler.engines.protocol import ContainerState
from reconciler.state.record import ExitRecord, Problem, Record

#: A problem is tried again after 1 s, 2 s, 4 s, ... at most a minute.
FIRST_RETRY = 1.0
LAST_RETRY = 60.0


def note(record: Record, outcome: Outcome, now: float) -> Record:
    """The record after an action."""
    if outcome.network is not None:
        identifier, subnet, gateway, port = outcome.network
        changes = {"network_id": identifier, "subnet": subnet, "gateway": gateway, "port": port}
        record = record.model_copy(update=changes)
    if outcome.admitted is not None:
        granted = {"admitted": True, "devices": outcome.admitted, "share": dict(outcome.share or {})}
        record = record.model_copy(update={**granted, "priority": outcome.priority, "queued": ""})
    elif outcome.waiting and outcome.waiting != record.queued:
        queued = not record.queued
        asked = {"share": dict(outcome.share or {}), "priority": outcome.priority}
        record = record.model_copy(update={"queued": outcome.waiting, **asked})
        if queued:
            record = record.with_event("Queued", outcome.waiting, now=now)
    for one in outcome.started:
        record = record.with_container(one.name, container_id=one.id, ip=one.ip, started_at=now)
        record = record.with_event("Started", f"Started container {one.name}", now=now)
    if fresh := tuple(sentence for sentence in outcome.limits if sentence not in record.warned):
        record = record.model_copy(update={"warned": (*record.warned, *fresh)})
        record = record.with_event("EngineLimits", " ".join(fresh), now=now, kind="Warning")
    record = unheard(record, outcome.unheard, now=now)
    for name, message in outcome.failed:
        record = record.with_container(name, start_error=message)
        record = record.with_event("StartFailed", f"{name}: {message}", now=now, kind="Warning")
    for state in outcome.ended:
        record = _ended(record, state, now)
    if outcome.cleaned:
        record = record.model_copy(update={"cleaned": True})
    if outcome.problem is not None:
        return trouble(record, *outcome.problem, now=now)
    return record.model_copy(update={"problem": None}) if outcome.started and record.problem else record


def trouble(record: Record, reason: str, message: str, *, now: float) -> Record:
    """The job cannot go on right now; told once as an event while it stays the same."""
    old = record.problem
    same = old is not None and old.reason == reason and old.message == message
    if old is not None and same and now < old.retry_at:
        # Asked again before its time (an image the puller waits for): that was no further try.
        return record
    count = old.count + 1 if old is not None and same else 1
    problem = Problem(
        reason=reason,
        message=message,
        since=old.since if old is not None and same else now,
        count=count,
        retry_at=now + min(FIRST_RETRY * 2 ** min(count - 1, 16), LAST_RETRY),
    )
    record = record.model_copy(update={"problem": problem})
    return record if same else record.with_event(reason, message, now=now, kind="Warning")


def _ended(record: Record, state: ContainerState, now: float) -> Record:
    """Keep how a container ended that was stopped because its job had: it is gone from now on."""
    known = record.containers.get(state.name)
    current = known is not None and generation_of(state) == (record.uid, record.attempt, known.restart)
    if known is None or not current or known.result is not None or not record.finished:
        return record
    code = state.exit.code if state.exit is not None else None
    result = ExitRecord(
        code=code,
        reason="Stopped",
        message=f"stopped with the job: {describe_code(code)}",
        finished_at=(state.exit.finished_at if state.exit is not None else None) or now,
    )
    return record.with_container(state.name, result=result, last_result=result)
