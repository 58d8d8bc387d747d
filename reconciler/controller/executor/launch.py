"""Makes networks and starts containers on the engine, as was decided. Holds nothing between calls.

Containers of different pods are created side by side (four at a time: more gains nothing on small
hosts), in rank order; those of one pod one after the other. Every action may be repeated: what exists
already is looked at before it is made again, and what belongs to somebody else is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path

import structlog

from reconciler.controller.enforcement.enforcer import Held
from reconciler.controller.executor.container_specs import Placement, container_spec, labels_of, volumes_of
from reconciler.controller.executor.execution_context import Hands, log_place, selector
from reconciler.controller.executor.mounted_files import write_volumes
from reconciler.controller.executor.redaction import Redactor
from reconciler.controller.snapshots import key_of
from reconciler.controller.statemachine.actions import NAME_TAKEN, Launch, Outcome, Started
from reconciler.controller.statemachine.observation import generation_of
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import ContainerSpec, NetworkSpec
from reconciler.errors import (
    Conflict,
    Drifted,
    EngineError,
    EngineUnavailable,
    NotFound,
    PlanError,
    PolicyRefused,
    StartFailed,
    StateError,
)
from reconciler.names import LABEL_INSTANCE
from reconciler.plan.addresses import plan_addresses
from reconciler.plan.job_plan import JobPlan, PodPlan, SecurityPlan
from reconciler.plan.policy.violations import REASON
from reconciler.plan.progress_reporting import without_reporting
from reconciler.state.record import Record

#: Seconds the other ranks wait at most for rank 0 to be created.
FIRST_TIMEOUT = 30.0

_log = structlog.get_logger(__name__)


def ensure_network(plan: JobPlan, record: Record, network: NetworkState | None, hands: Hands) -> Outcome:
    """Create the job's network unless it is there."""
    if network is None:
        wanted = sum(not i.host_network for i in plan.pods)
        labels = labels_of(record, hands.host.instance, hands.host.revision)
        # A rerun keeps the network, so it cannot carry the uid of one life.
        spec = NetworkSpec(name=plan.network, labels=labels, min_addresses=max(wanted, 1))
        try:
            network = hands.engine.create_network(spec)
            _log.info("created network", network=plan.network, subnet=network.subnet)
        except Conflict:
            return _taken_network(plan, hands)
    return Outcome(network=(network.id, network.subnet, network.gateway, network.port))


def _taken_network(plan: JobPlan, hands: Hands) -> Outcome:
    """Somebody has the name: ours after all (a create that timed out), or a stranger's."""
    try:
        found = hands.engine.inspect_network(plan.network)
    except NotFound:
        message = f"The network {plan.network} was taken and is free again; trying again."
        return Outcome(problem=("NetworkConflict", message))
    mine = selector(plan.namespace, plan.name, hands.host.instance)
    if all(found.labels.get(k) == v for k, v in mine.items()):
        return Outcome(network=(found.id, found.subnet, found.gateway, found.port))
    return Outcome(problem=(NAME_TAKEN, _stranger("network", plan.network, found.labels, hands)))


def _stranger(kind: str, name: str, labels: Mapping[str, str], hands: Hands) -> str:
    owner = labels.get(LABEL_INSTANCE)
    remedy = "Give the job another name"
    if owner == hands.host.instance:
        who = f"another job of this folder, {key_of(labels)}"
    else:
        who = f"the reconciler of another specs folder (instance {owner})" if owner else "somebody else"
        tool = hands.engine.name
        if tool in {"podman", "docker"}:
            remove = f"{tool} network rm {name}" if kind == "network" else f"{tool} rm {name}"
            remedy += f", or remove it yourself (`{remove}`)"
    return f"A {kind} named {name} exists and belongs to {who}; it is left alone. {remedy}."


def launch(
    plan: JobPlan,
    record: Record,
    network: NetworkState,
    launches: Sequence[Launch],
    hands: Hands,
) -> Outcome:
    """Create and start containers, pods side by side, rank 0's first.

    Raises:
        EngineUnavailable: the engine went away; what was begun is found by the next listing.
    """
    try:
        addresses = plan_addresses(plan, network.subnet, network.gateway)
    except PlanError as error:
        return Outcome(problem=("AddressesExhausted", str(error)))
    port = network.port or plan.port
    heard = hands.reach(plan, network, False)
    placement = Placement(
        network=network,
        addresses=addresses,
        port=port,
        spec_hash=hands.spec_hash,
        progress=heard.addresses,
    )
    # Rank 0 exists before any other rank does; from then on nobody waits for anybody.
    first: Future[bool] = Future()
    futures = [
        hands.launching.submit(
            copy_context().run, _launch_pod, plan, record, placement, wanted, hands, number, first
        )
        for number, wanted in enumerate(launches)
    ]
    outcomes: list[Outcome] = []
    gone: EngineUnavailable | None = None
    for future in futures:
        try:
            outcomes.append(future.result())
        except EngineUnavailable as error:
            gone = error
    if gone is not None:
        raise gone
    problem = next((o.problem for o in outcomes if o.problem), None)
    failed = tuple(f for o in outcomes for f in o.failed)
    if problem or failed:
        # Engines quote what they could not run.
        redactor = Redactor(plan, hands.lookup)
        problem = redactor.pairs([problem])[0] if problem else None
        failed = redactor.pairs(failed)
    return Outcome(
        started=tuple(s for o in outcomes for s in o.started),
        failed=failed,
        limits=tuple(dict.fromkeys(sentence for o in outcomes for sentence in o.limits)),
        unheard=heard.trouble,
        problem=problem,
    )


def _launch_pod(  # noqa: PLR0917  (called through an executor)
    plan: JobPlan,
    record: Record,
    placement: Placement,
    wanted: Launch,
    hands: Hands,
    number: int,
    first: Future[bool],
) -> Outcome:
    pod = plan.step(wanted.step).pods[wanted.index]
    if (pod.step, pod.index) not in placement.progress:
        pod = without_reporting(pod, plan.namespace, plan.name)
    existing = dict(wanted.existing)
    address = placement.addresses[pod.step, pod.index]
    started: list[Started] = []
    limits: list[str] = []
    name = ""
    try:
        _prepare(plan, pod, record, placement, hands)
        if number and not _may_follow(first):
            return Outcome()
        for name in wanted.containers:
            container = next(c for c in pod.containers if c.name == name)
            spec = container_spec(
                plan,
                pod,
                container,
                record=record,
                placement=placement,
                host=hands.host,
                lookup=hands.lookup,
            )
            spec = _settled(spec, container.security, hands)
            with hands.guard.held(spec, hands.engine.bound_folder) as held:
                identifier = _made(held.spec, existing.get(name), record=record, hands=hands, limits=limits)
                if not number and not first.done():
                    first.set_result(True)
                hands.logs.attach(identifier, log_place(record, name))
                _start(identifier, held, hands)
            started.append(Started(name=name, id=identifier, ip=address))
            _log.info("started container", container=name, rank=pod.rank, id=identifier[:12])
    except (StartFailed, Drifted) as error:
        return Outcome(started=tuple(started), failed=((name, str(error)),))
    except EngineUnavailable:
        raise
    except (_NameTakenError, PlanError, PolicyRefused, StateError, EngineError) as error:
        return Outcome(started=tuple(started), problem=(_reason(error), str(error)))
    finally:
        if not number and not first.done():
            first.set_result(False)
    return Outcome(started=tuple(started), limits=tuple(limits))


def _may_follow(first: Future[bool]) -> bool:
    """Whether rank 0 could be created; if not, or not in time, the next pass starts the others with it."""
    try:
        return first.result(FIRST_TIMEOUT)
    except TimeoutError:
        return False


def _reason(error: Exception) -> str:
    """The word for a problem, as conditions and events have it."""
    match error:
        case _NameTakenError():
            return NAME_TAKEN
        case PlanError():
            return "ConfigurationMissing"
        case PolicyRefused():
            return REASON
        case StateError():
            return "HostError"
    return "EngineError"


class _NameTakenError(Exception):
    """A container's name belongs to a stranger."""


def _prepare(plan: JobPlan, pod: PodPlan, record: Record, placement: Placement, hands: Hands) -> None:
    """Volumes and files the pod mounts."""
    if not pod.volumes:
        return
    hands.guard.make_folders(pod)
    for volume in volumes_of(plan, pod, record, hands.host):
        hands.engine.create_volume(hands.guard.volume(volume))
    write_volumes(
        Path(hands.host.files),
        pod,
        addresses=placement.addresses,
        port=placement.port,
        lookup=hands.lookup,
    )


def _settled(spec: ContainerSpec, security: SecurityPlan, hands: Hands) -> ContainerSpec:
    """The specification with what only the engine's image, and the policy, can tell."""
    spec = replace(spec, image=hands.guard.image(spec.image))
    try:
        return hands.guard.with_user(spec, security, hands.engine.image_user)
    except NotFound:
        hands.forget_image(spec.image)
        raise


def _made(
    spec: ContainerSpec, existing: str | None, *, record: Record, hands: Hands, limits: list[str]
) -> str:
    """The container's id: created now, or found as a crash has left it."""
    held = any(mount.root for mount in spec.mounts)
    if existing is not None and not held:
        return existing
    if existing is not None:
        # What it was to mount was held by a daemon that is gone. Its start may have been under way when that
        # ended, and come through since the listing: it may have ended by now, or start between these two.
        if hands.engine.inspect_container(existing).state != "created":
            raise EngineError(f"The container {spec.name} has been started meanwhile.")
        hands.engine.remove_container(existing, force=False)
    limits += hands.engine.limitations(spec)
    try:
        return hands.engine.create_container(spec)
    except Conflict:
        identifier = _adopt(spec.name, record, hands)
        if held:
            hands.engine.remove_container(identifier, force=False)
            raise EngineError(f"The container {spec.name} is made anew, to hold what it mounts.") from None
        return identifier
    except NotFound:
        hands.forget_image(spec.image)
        raise


def _adopt(name: str, record: Record, hands: Hands) -> str:
    """A name that is taken: ours if a create timed out after it worked, else a stranger's."""
    found = hands.engine.inspect_container(name)
    mine = selector(record.namespace, record.name, hands.host.instance)
    if not all(found.labels.get(k) == v for k, v in mine.items()):
        raise _NameTakenError(_stranger("container", name, found.labels, hands))
    wanted = (record.uid, record.attempt, record.container(name).restart)
    if generation_of(found) != wanted or found.state != "created":
        raise EngineError(f"The container {name} of an earlier run is still there.")
    return found.id


def _start(identifier: str, held: Held, hands: Hands) -> None:
    try:
        held.confirm()
    except PolicyRefused:
        hands.engine.remove_container(identifier)
        raise
    try:
        hands.engine.start_container(identifier)
    except Conflict:
        # Its address is in use by something else for the moment: made anew by the next pass.
        hands.engine.remove_container(identifier)
        raise
