"""Which of the things that carry a job's labels are the job's own. Pure.

Labels prove nothing: `docker commit` and `podman container clone` copy them, and people debug so. Own is the
container that the record names by its id; before that is saved, the one with the planned name and this run's
labels; and what an earlier run, attempt or object of the job left under a name of ours, unless another stands
under the planned name of its place. Everything else that carries the labels is a stray: never adopted,
stopped or removed, neither probed nor read, and reported once.

What can go wrong: a container that is renamed by hand before its id is saved is taken for a stray. And a copy
to which somebody gives a rank's own name, when the rank is gone and its run over, is taken for a leftover.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from reconciler.controller.statemachine.actions import ENGINE_BUSY, NAME_TAKEN, STILL_IN_USE
from reconciler.controller.statemachine.observation import (
    Observed,
    Stray,
    container_identity,
    is_current_run,
    planned_containers,
    run_identity,
)
from reconciler.engines.protocol import ContainerState, NetworkState
from reconciler.names import container_names, network_name
from reconciler.plan.job_plan import ContainerPlan, JobPlan
from reconciler.state.record import Record

#: Text of a label that may become a uid: it is part of paths and tokens.
_UID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
#: Reasons of problems that may end when a stray goes.
_WAIT_FOR_STRAYS: Final = frozenset({STILL_IN_USE, NAME_TAKEN, ENGINE_BUSY})


def observe(
    containers: Iterable[ContainerState],
    networks: Iterable[NetworkState],
    plan: JobPlan | None,
    record: Record,
) -> Observed:
    """Returns a listing by the job's labels, divided into what is the job's own and the strays."""
    listed = tuple(containers)
    own = own_containers(listed, plan, record)
    ids = {c.id for c in own}
    # Docker lists one that is just going without a name.
    strays = [Stray(kind="container", id=c.id, name=c.name) for c in listed if c.id not in ids and c.name]
    network = None
    for net in networks:
        if is_own_network(net, record.namespace, record.name):
            network = network or net
        else:
            strays.append(Stray(kind="network", id=net.id or net.name, name=net.name))
    return Observed(containers=own, network=network, strays=tuple(strays))


def own_containers(
    containers: Iterable[ContainerState], plan: JobPlan | None, record: Record
) -> tuple[ContainerState, ...]:
    """Returns those that are the job's own; without a plan the names tell that labels stand for."""
    planned = planned_containers(plan) if plan is not None else {}
    listed = {c.id: c for c in containers}
    known = frozenset(record.container_ids)
    in_place = {
        key for c in listed.values() if (p := planned.get(key := container_identity(c))) and c.name == p.name
    }
    return tuple(
        c
        for c in listed.values()
        if c.id in known or (_is_own(c, planned, record, listed) and not _is_beside(c, planned, in_place))
    )


def is_own_network(network: NetworkState, namespace: str, job: str) -> bool:
    """Whether a network that carries the job's labels is its own, by its name."""
    return network.name == network_name(namespace, job)


def take_over(observed: Observed, record: Record) -> Record:
    """Completes a new job's record by the first look at the engine.

    Where containers of ours have been started under its names, record and sidecar were both lost: the job is
    the object that they say, and goes on with them instead of running twice.
    """
    record = record.replace(unseen=False)
    started = [c for c in observed.containers if c.state != "created" and _UID.fullmatch(run_identity(c)[0])]
    if not started:
        return record
    youngest = max(started, key=lambda c: c.created_at or 0.0)
    uid = run_identity(youngest)[0]
    starts = [c.started_at for c in started if run_identity(c)[0] == uid and c.started_at is not None]
    began = min(starts, default=record.created_at)
    record = record.replace(uid=uid, recovered=True, unstarted=False, started_at=began)
    message = "The job's record and status were lost; its containers were found, and it goes on with them."
    return record.with_event("Recovered", message, now=record.created_at)


def record_strays(record: Record, observed: Observed, *, now: float) -> Record:
    """Reports each stray once; forgets ids of what is gone, and wakes what waited for a stray to go."""
    listed = {stray.id for stray in observed.strays}
    there = {c.id for c in observed.containers} | listed
    problem = record.problem
    if problem is not None and problem.reason in _WAIT_FOR_STRAYS and not listed.issuperset(record.strays):
        record = record.replace(problem=problem.replace(retry_at=now))
    for stray in observed.strays:
        if stray.id not in record.strays:
            record = record.with_event("NotOurs", describe_stray(stray), now=now, kind="Warning")
    strays = tuple(stray.id for stray in observed.strays)
    earlier = tuple(i for i in dict.fromkeys(record.earlier_ids) if i in there)
    if (strays, earlier) == (record.strays, record.earlier_ids):
        return record
    return record.replace(strays=strays, earlier_ids=earlier)


def describe_stray(stray: Stray) -> str:
    """A sentence for the event, with what a person can do."""
    is_container = stray.kind == "container"
    origin = "a copy by commit or clone, or renamed before it was seen" if is_container else "a copy"
    identifier = f" ({stray.id[:12]})" if is_container else ""
    return (
        f"The {stray.kind} {stray.name}{identifier} carries this job's labels and is not its own ({origin}): "
        "it is left alone. Remove it yourself when it is not needed any more."
    )


def _is_own(
    state: ContainerState,
    planned: Mapping[tuple[str, int, str], ContainerPlan],
    record: Record,
    listed: Collection[str],
) -> bool:
    """Whether a container whose id the record does not know is the job's own."""
    if state.id in record.strays:
        return False
    plan = planned.get(container_identity(state))
    if plan is not None and is_current_run(state, record, plan.name):
        # The id of the run is saved: another one is a copy that took the name. Only what was created and not
        # started may have been replaced by this daemon (to pin the paths it mounts) before that was saved.
        known = record.container(plan.name)
        saved = known.container_id and (known.started_at is not None or known.container_id in listed)
        return state.name == plan.name and not saved
    return state.name in container_names(state.labels)


def _is_beside(
    state: ContainerState,
    planned: Mapping[tuple[str, int, str], ContainerPlan],
    in_place: Collection[tuple[str, int, str]],
) -> bool:
    """Whether another container has the planned name of its place: then one with a like name is a copy.

    Whatever attempt its labels say, which somebody may have edited.
    """
    key = container_identity(state)
    return key in in_place and state.name != planned[key].name
