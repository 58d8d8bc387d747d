"""Observes exits: writes into the record what ended, or disappeared, since the last pass. Pure.

A result is written down once, under the run (attempt, restart) it belongs to; after that the container may
vanish, the result stays.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from reconciler.controller.statemachine.job_view import ContainerView, build_job_view
from reconciler.controller.statemachine.observation import Observed
from reconciler.engines.protocol import ContainerState
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan
from reconciler.state.record import ExitRecord, Record


@dataclass(frozen=True, kw_only=True)
class ContainerExit:
    """The end of a container's run, observed in this pass."""

    pod: PodPlan
    container: ContainerPlan
    container_id: str
    result: ExitRecord


def observe_exits(
    plan: JobPlan, observed: Observed, record: Record, now: float
) -> tuple[Record, tuple[ContainerExit, ...]]:
    """Writes down what ended or disappeared since the last pass.

    Returns:
        The record with ids, addresses, start times and results; and the exits, first one first.
    """
    exits: list[ContainerExit] = []
    for _, pod, container in build_job_view(plan, observed, record).containers:
        record = _record_container(record, container)
        result = _result_of(container, now)
        if result is not None:
            changes: dict[str, object] = {"result": result, "last_result": result, "start_error": ""}
            started = record.container(container.plan.name).started_at
            if started is not None and started > result.finished_at:
                # A start is recorded when all that were started together have: one may have ended by then.
                changes["started_at"] = result.finished_at
            record = record.with_container(container.plan.name, **changes)
            identifier = container.state.id if container.state is not None else ""
            exits.append(
                ContainerExit(pod=pod.plan, container=container.plan, container_id=identifier, result=result)
            )
    return record, tuple(sorted(exits, key=lambda e: e.result.finished_at))


def _record_container(record: Record, view: ContainerView) -> Record:
    state = view.state
    if state is None:
        return record
    changes: dict[str, object] = {}
    if state.id != view.record.container_id:
        changes["container_id"] = state.id
    if state.address and state.address != view.record.ip:
        changes["ip"] = state.address
    if state.started_at is not None and view.record.started_at is None:
        changes["started_at"] = state.started_at
    if state.started_at is not None and record.unstarted:
        record = record.replace(unstarted=False)
    return record.with_container(view.plan.name, **changes) if changes else record


def _result_of(view: ContainerView, now: float) -> ExitRecord | None:
    """Returns how the run ended; None while it has not, or where it is recorded already."""
    if view.record.result is not None:
        return None
    if view.record.start_error:
        # The kubelet's reason and exit code of a container whose start failed.
        message = view.record.start_error
        return ExitRecord(code=128, reason="StartError", message=message, finished_at=now)
    if view.state is not None:
        return _exit_record(view.state, now) if view.state.state == "exited" else None
    if not view.record.container_id:
        return None
    message = f"The container {view.plan.name} was removed by somebody else while it was wanted."
    return ExitRecord(code=None, reason="Removed", message=message, finished_at=now)


def _exit_record(state: ContainerState, now: float) -> ExitRecord:
    facts = state.exit
    if facts is None:
        message = "The engine does not say how it ended."
        return ExitRecord(code=None, reason="Unknown", message=message, finished_at=now)
    if facts.oom_killed:
        reason = "OOMKilled"
    elif facts.code == 0:
        reason = "Completed"
    else:
        reason = "Error"
    message = facts.error or describe_exit_code(facts.code, oom_killed=facts.oom_killed)
    return ExitRecord(code=facts.code, reason=reason, message=message, finished_at=facts.finished_at or now)


def describe_exit_code(code: int | None, *, oom_killed: bool = False) -> str:
    """Renders an exit status: ``exit code 1``, ``signal 9 (SIGKILL), exit code 137``, ``OOMKilled ...``."""
    if oom_killed:
        return "OOMKilled: it used more memory than its limit"
    if code is None:
        return "it ended without an exit code"
    if 128 < code < 128 + 65:
        number = code - 128
        try:
            return f"signal {number} ({signal.Signals(number).name}), exit code {code}"
        except ValueError:
            return f"signal {number}, exit code {code}"
    return f"exit code {code}"
