"""What a recovered record takes from the containers that are there: labels know what a sidecar does not.

Pure. Without it a job whose record was lost would have its restarted containers taken for stale, and its
devices given to others while it uses them.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.controller.scheduler.admission_queue import amounts_of
from reconciler.controller.statemachine.observation import Observed, generation_of, identity
from reconciler.controller.statemachine.restart_policy import next_attempt
from reconciler.engines.protocol import ContainerState
from reconciler.names import LABEL_DEVICES, LABEL_SPEC_HASH
from reconciler.plan.hashing import spec_hash
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record


def adopt(plan: JobPlan, observed: Observed, record: Record) -> Record:
    """The recovered record with attempt, restart numbers, devices and network as the engine has them."""
    record = record.model_copy(update={"recovered": False})
    if record.finished:
        return record
    mine = [c for c in observed.containers if generation_of(c)[0] == record.uid]
    attempt = max((record.attempt, *(generation_of(c)[1] for c in mine)))
    record = record.model_copy(update={"attempt": attempt})
    current = [c for c in mine if generation_of(c)[1] == attempt]
    if any(c.labels.get(LABEL_SPEC_HASH) not in {None, spec_hash(plan)} for c in current):
        # Manifest or runtime have changed since: ranks of two plans must never meet.
        return next_attempt(record, keep_succeeded=True)
    names = {(s.name, i.index, c.container): c.name for s in plan.steps for i in s.pods for c in i.containers}
    for state in current:
        name = names.get(identity(state))
        restart = generation_of(state)[2]
        if name is not None and restart > record.container(name).restart:
            record = record.with_container(name, restart=restart, failures=restart)
    if observed.network is not None and current:
        net = observed.network
        changes = {"network_id": net.id, "subnet": net.subnet, "gateway": net.gateway, "port": net.port}
        record = record.model_copy(update=changes)
    if current:
        held = {"admitted": True, "devices": _devices(plan, current), "share": dict(amounts_of(plan))}
        record = record.model_copy(update=held)
    return record


def _devices(plan: JobPlan, states: Iterable[ContainerState]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Per pod and class, from the labels ``<class>=<index>,...``."""
    pods = {(i.step, i.index): i.name for i in plan.pods}
    found: dict[str, dict[str, list[str]]] = {}
    for state in states:
        pod = pods.get(identity(state)[:2])
        for entry in filter(None, state.labels.get(LABEL_DEVICES, "").split(",")):
            kind, _, index = entry.rpartition("=")
            names = found.setdefault(pod or "", {}).setdefault(kind, [])
            if index not in names:
                names.append(index)
    found.pop("", None)
    return {name: {k: tuple(sorted(v)) for k, v in kinds.items()} for name, kinds in found.items()}
