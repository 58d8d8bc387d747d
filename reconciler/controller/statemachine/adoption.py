"""Adopts the containers of a job whose record was recovered: their labels know what a sidecar does not. Pure.

Without it the job's restarted containers would be taken for stale, and its devices given to others while it
uses them.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.controller.scheduler.resources import requested_resources
from reconciler.controller.statemachine.attempts import next_attempt
from reconciler.controller.statemachine.observation import (
    Observed,
    container_identity,
    planned_containers,
    run_identity,
)
from reconciler.engines.protocol import ContainerState
from reconciler.names import LABEL_DEVICES, LABEL_SPEC_HASH
from reconciler.plan.job_plan import JobPlan
from reconciler.plan.plan_hash import spec_hash
from reconciler.state.record import Record


def adopt_containers(plan: JobPlan, observed: Observed, record: Record) -> Record:
    """Completes a recovered record with attempt, restart numbers, devices and network of the engine."""
    record = record.replace(recovered=False)
    if record.finished:
        return record
    own = [c for c in observed.containers if run_identity(c)[0] == record.uid]
    attempt = max((record.attempt, *(run_identity(c)[1] for c in own)))
    record = record.replace(attempt=attempt)
    current = [c for c in own if run_identity(c)[1] == attempt]
    if any(c.labels.get(LABEL_SPEC_HASH) not in {None, spec_hash(plan)} for c in current):
        # Manifest or runtime have changed since: ranks of two plans must never meet.
        return next_attempt(record, keep_succeeded=True)
    planned = planned_containers(plan)
    for state in current:
        container = planned.get(container_identity(state))
        restart = run_identity(state)[2]
        if container is not None and restart > record.container(container.name).restart:
            record = record.with_container(container.name, restart=restart, failures=restart)
    if not current:
        return record
    devices = _devices_of(plan, current)
    record = record.replace(admitted=True, devices=devices, share=requested_resources(plan))
    if (net := observed.network) is None:
        return record
    return record.replace(network_id=net.id, subnet=net.subnet, gateway=net.gateway, port=net.port)


def _devices_of(plan: JobPlan, states: Iterable[ContainerState]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Reads devices per pod and class from the labels ``<class>=<index>,...``.

    Of classes that a container does not ask for, an image committed from another container has the label.
    """
    pods = {(pod.step, pod.index): pod.name for pod in plan.pods}
    planned = planned_containers(plan)
    found: dict[str, dict[str, set[str]]] = {}
    for state in states:
        pod = pods.get(container_identity(state)[:2])
        container = planned.get(container_identity(state))
        if pod is None or container is None:
            continue
        for entry in filter(None, state.labels.get(LABEL_DEVICES, "").split(",")):
            device_class, _, index = entry.rpartition("=")
            if device_class not in container.resources.devices:
                continue
            found.setdefault(pod, {}).setdefault(device_class, set()).add(index)
    return {pod: {k: tuple(sorted(v)) for k, v in classes.items()} for pod, classes in found.items()}
