"""What the record keeps of how an action went. Pure."""

from __future__ import annotations

from reconciler.controller.statemachine.actions import ActionResult
from reconciler.controller.statemachine.attempts import record_problem
from reconciler.controller.statemachine.event_recorder import record_progress_unavailable
from reconciler.controller.statemachine.exits import describe_exit_code
from reconciler.controller.statemachine.observation import is_current_run
from reconciler.engines.protocol import ContainerState
from reconciler.state.record import ExitRecord, Record


def apply_action_result(record: Record, result: ActionResult, now: float) -> Record:
    """Returns the record after an action."""
    if result.network is not None:
        net = result.network
        record = record.replace(network_id=net.id, subnet=net.subnet, gateway=net.gateway, port=net.port)
    record = _apply_admission(record, result, now)
    if result.started and record.unstarted:
        record = record.replace(unstarted=False)
    for started in result.started:
        record = record.with_container(started.name, container_id=started.id, ip=started.ip, started_at=now)
        record = record.with_event("Started", f"Started container {started.name}", now=now)
    if new := tuple(sentence for sentence in result.limitations if sentence not in record.warned):
        record = record.replace(warned=(*record.warned, *new))
        record = record.with_event("EngineLimits", " ".join(new), now=now, kind="Warning")
    record = record_progress_unavailable(record, result.progress_unavailable, now=now)
    for name, message in result.start_failures:
        record = record.with_container(name, start_error=message)
        record = record.with_event("StartFailed", f"{name}: {message}", now=now, kind="Warning")
    for state in result.stopped:
        record = _apply_stop(record, state, now)
    if result.cleaned:
        record = record.replace(cleaned=True, problem=None)
    if result.problem is not None:
        return record_problem(record, *result.problem, now=now)
    return record.replace(problem=None) if result.started and record.problem else record


def _apply_admission(record: Record, result: ActionResult, now: float) -> Record:
    allocation = result.allocation
    if allocation is None or (allocation.waiting and allocation.waiting == record.queued):
        return record
    newly_queued = allocation.waiting and not record.queued
    record = record.replace(share=allocation.share, priority=result.priority, queued=allocation.waiting)
    if not allocation.waiting:
        return record.replace(admitted=True, devices=allocation.devices)
    return record.with_event("Queued", allocation.waiting, now=now) if newly_queued else record


def _apply_stop(record: Record, state: ContainerState, now: float) -> Record:
    """Keeps how a container ended that was stopped because its job had: the engine soon forgets it."""
    by_id = (name for name, known in record.containers.items() if known.container_id == state.id)
    name = next(by_id, state.name)  # it may have been renamed by hand
    known = record.containers.get(name)
    current = is_current_run(state, record, name)
    if known is None or not current or known.result is not None or not record.finished:
        return record
    code = state.exit.code if state.exit is not None else None
    result = ExitRecord(
        code=code,
        reason="Stopped",
        message=f"stopped with the job: {describe_exit_code(code)}",
        finished_at=(state.exit.finished_at if state.exit is not None else None) or now,
    )
    return record.with_container(name, result=result, last_result=result)
