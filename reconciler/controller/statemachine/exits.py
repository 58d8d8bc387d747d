"""Observes exits: writes into the record what ended, or disappeared, since the last pass. Pure.

A result is written down once, under the run (attempt, restart) it belongs to; after that the container may
vanish, the result stays.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.controller.statemachine.job_view import ContainerView, JobView, build_job_view
from reconciler.controller.statemachine.observation import Observed
from reconciler.engines.protocol import ContainerState
from reconciler.errors import PlanError
from reconciler.plan.addresses import plan_addresses
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
    view = build_job_view(plan, observed, record)
    record = _record_network(record, view, observed)
    addresses = _planned_addresses(plan, record, view)
    for _, pod, container in view.containers:
        record = _record_container(record, container, addresses.get((pod.plan.step, pod.plan.index), ""))
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


def _record_network(record: Record, view: JobView, observed: Observed) -> Record:
    """Keeps the network that the job's containers are on, where the daemon that made it could not."""
    network = observed.network
    if network is None or record.network_id or all(c.state is None for _, _, c in view.containers):
        return record
    return record.replace(
        network_id=network.id, subnet=network.subnet, gateway=network.gateway, port=network.port
    )


def _planned_addresses(plan: JobPlan, record: Record, view: JobView) -> Mapping[tuple[str, int], str]:
    """Returns the pods' addresses where one is not known: engines forget it with a container's end."""
    there = [(c.state, c.record.ip) for _, _, c in view.containers if c.state is not None]
    unknown = any(not state.address and not ip for state, ip in there)
    if not unknown or not record.subnet:
        return {}
    try:
        return plan_addresses(plan, record.subnet, record.gateway)
    except (PlanError, ValueError):
        return {}


def _record_container(record: Record, view: ContainerView, planned: str) -> Record:
    state = view.state
    if state is None:
        return record
    changes: dict[str, object] = {}
    if state.id != view.record.container_id:
        changes["container_id"] = state.id
    address = state.address or view.record.ip or planned
    if address != view.record.ip:
        changes["ip"] = address
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
    if not view.record.container_id or view.record.started_at is None:
        # Nothing has run. This daemon itself removes what it cannot start for the moment, and makes it again.
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
