"""Carries out what was decided, on the engine. Holds nothing between calls.

Containers of different instances are created side by side (four at a time: more gains nothing on small
hosts), in rank order; those of one instance one after the other. Every action may be repeated: what exists
already is looked at before it is made again, and what belongs to somebody else is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from reconciler.controller.actions import Dump, Launch, Outcome, Remove, Started, Stop
from reconciler.controller.guarding import Guard, Held
from reconciler.controller.logs import LogKeeper, LogPlace
from reconciler.controller.materials import remove_files, write_volumes
from reconciler.controller.observed import generation_of, number
from reconciler.controller.redacting import Redactor
from reconciler.controller.specs import (
    VOLUME_CLAIM,
    Host,
    Placement,
    container_spec,
    labels_of,
    volumes_of,
)
from reconciler.engines.base import ContainerSpec, ContainerState, Engine, NetworkSpec, NetworkState
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
from reconciler.names import (
    LABEL_ATTEMPT,
    LABEL_INSTANCE,
    LABEL_JOB,
    LABEL_KIND,
    LABEL_NAMESPACE,
)
from reconciler.plan.addresses import plan_addresses
from reconciler.plan.policing import REASON
from reconciler.plan.resolve import Lookup
from reconciler.plan.types import ContainerPlan, InstancePlan, JobPlan
from reconciler.status.files import write_atomically
from reconciler.status.records import Record

#: Seconds to wait for the rest of a log after its container has ended.
LOG_TIMEOUT = 10.0
#: Seconds the other ranks wait at most for rank 0 to be created.
FIRST_TIMEOUT = 30.0

#: All processes of the container: the launcher is seldom the one that hangs.
DUMP_SCRIPT = (
    "command -v py-spy >/dev/null || { echo the image has no py-spy; exit 127; }; "
    "for p in $(ls /proc | grep '^[0-9]*$'); do py-spy dump --pid $p 2>/dev/null; done; exit 0"
)
DUMP_COMMAND = ("sh", "-c", DUMP_SCRIPT)
DUMP_TIMEOUT = 15.0

T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Hands:
    """What actions work with.

    Attributes:
        launching: executor for creates and starts; ``stopping`` for stops, which wait out grace periods.
        host: facts of the engine's host; ``files`` is replaced per job.
        forget_image: called when an image turns out to be gone.
        guard: the policy, asked again when a hostPath is used.
    """

    engine: Engine
    logs: LogKeeper
    launching: Executor
    stopping: Executor
    host: Host
    lookup: Lookup
    spec_hash: str
    forget_image: Callable[[str], None]
    guard: Guard


def selector(namespace: str, name: str, instance: str) -> dict[str, str]:
    """The labels by which everything of a job is found."""
    return {LABEL_INSTANCE: instance, LABEL_NAMESPACE: namespace, LABEL_JOB: name}


def ensure_network(plan: JobPlan, record: Record, network: NetworkState | None, hands: Hands) -> Outcome:
    """Create the job's network unless it is there."""
    if network is None:
        wanted = sum(not i.host_network for i in plan.instances)
        labels = labels_of(record, hands.host.instance)
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
    return Outcome(problem=("NameTaken", _stranger("network", plan.network, found.labels, hands)))


def _stranger(kind: str, name: str, labels: Mapping[str, str], hands: Hands) -> str:
    owner = labels.get(LABEL_INSTANCE)
    who = f"the reconciler of another specs folder (instance {owner})" if owner else "somebody else"
    tool = hands.engine.name if hands.engine.name in {"podman", "docker"} else "reconciler"
    remove = f"{tool} network rm {name}" if kind == "network" else f"{tool} rm {name}"
    return (
        f"A {kind} named {name} exists and belongs to {who}; it is left alone. "
        f"Give the job another name, or remove it yourself (`{remove}`)."
    )


def launch(
    plan: JobPlan,
    record: Record,
    network: NetworkState,
    launches: Sequence[Launch],
    hands: Hands,
) -> Outcome:
    """Create and start containers, instances side by side, rank 0's first.

    Raises:
        EngineUnavailable: the engine went away; what was begun is found by the next listing.
    """
    try:
        addresses = plan_addresses(plan, network.subnet, network.gateway)
    except PlanError as error:
        return Outcome(problem=("AddressesExhausted", str(error)))
    port = network.port or plan.port
    placement = Placement(network=network, addresses=addresses, port=port, spec_hash=hands.spec_hash)
    # Rank 0 exists before any other rank does; from then on nobody waits for anybody.
    first: Future[bool] = Future()
    futures = [
        hands.launching.submit(
            copy_context().run, _launch_instance, plan, record, placement, wanted, hands, number, first
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
        problem=problem,
    )


def _launch_instance(  # noqa: PLR0917  (called through an executor)
    plan: JobPlan,
    record: Record,
    placement: Placement,
    wanted: Launch,
    hands: Hands,
    number: int,
    first: Future[bool],
) -> Outcome:
    instance = plan.step(wanted.step).instances[wanted.index]
    existing = dict(wanted.existing)
    address = placement.addresses[instance.step, instance.index]
    started: list[Started] = []
    limits: list[str] = []
    name = ""
    try:
        _prepare(plan, instance, record, placement, hands)
        if number and not _may_follow(first):
            return Outcome()
        for name in wanted.containers:
            container = next(c for c in instance.containers if c.name == name)
            spec = container_spec(
                plan,
                instance,
                container,
                record=record,
                placement=placement,
                host=hands.host,
                lookup=hands.lookup,
            )
            with hands.guard.held(spec) as held:
                identifier = _made(held.spec, existing.get(name), record=record, hands=hands, limits=limits)
                if not number and not first.done():
                    first.set_result(True)
                hands.logs.attach(identifier, log_place(record, name))
                _start(identifier, held, hands)
            started.append(Started(name=name, id=identifier, ip=address))
            _log.info("started container", container=name, rank=instance.rank, id=identifier[:12])
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
            return "NameTaken"
        case PlanError():
            return "ConfigurationMissing"
        case PolicyRefused():
            return REASON
        case StateError():
            return "HostError"
    return "EngineError"


class _NameTakenError(Exception):
    """A container's name belongs to a stranger."""


def _prepare(
    plan: JobPlan, instance: InstancePlan, record: Record, placement: Placement, hands: Hands
) -> None:
    """Volumes and files the instance mounts."""
    if not instance.volumes:
        return
    hands.guard.make_folders(instance)
    for volume in volumes_of(plan, instance, record, hands.host):
        hands.engine.create_volume(hands.guard.volume(volume))
    write_volumes(
        Path(hands.host.files),
        instance,
        addresses=placement.addresses,
        port=placement.port,
        lookup=hands.lookup,
    )


def _made(
    spec: ContainerSpec, existing: str | None, *, record: Record, hands: Hands, limits: list[str]
) -> str:
    """The container's id: created now, or found as a crash has left it."""
    held = any(mount.root for mount in spec.mounts)
    if existing is not None and not held:
        return existing
    if existing is not None:
        # What it was to mount was held by a daemon that is gone.
        hands.engine.remove_container(existing)
    limits += hands.engine.limitations(spec)
    try:
        return hands.engine.create_container(spec)
    except Conflict:
        identifier = _adopt(spec.name, record, hands)
        if held:
            hands.engine.remove_container(identifier)
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


def log_place(record: Record, name: str) -> LogPlace:
    """Where the log of a container of the current attempt goes."""
    return LogPlace(namespace=record.namespace, job=record.name, attempt=record.attempt, container=name)


def place_of(state: ContainerState) -> LogPlace:
    """Where the log of a listed container goes: by its own labels, whatever attempt it is of."""
    return LogPlace(
        namespace=state.labels.get(LABEL_NAMESPACE, ""),
        job=state.labels.get(LABEL_JOB, ""),
        attempt=max(number(state.labels.get(LABEL_ATTEMPT)), 0),
        container=state.name,
    )


def dump(action: Dump, hands: Hands) -> Outcome:
    """Keep where the ranks of a stalled job stand, beside their logs, where the image has py-spy."""
    for state in action.containers:
        try:
            code, output = hands.engine.exec(state.id, DUMP_COMMAND, timeout=DUMP_TIMEOUT)
        except EngineError as error:
            code, output = -1, str(error).encode()
        path = hands.logs.path(place_of(state)).with_suffix(".stack.txt")
        text = output if code == 0 else b"No stack: " + (output.strip() or b"py-spy failed") + b"\n"
        with suppress(StateError, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text, mode=0o600)
        _log.warning("rank is stalled", container=state.name, stack=str(path) if code == 0 else "")
    return Outcome()


def stop(plan: JobPlan | None, action: Stop | Remove, hands: Hands) -> Outcome:
    """Stop containers together; after :class:`Remove` they are gone, their logs kept.

    All logs are read before the first container goes: Podman removes along with a container those that share
    its network.

    Raises:
        EngineError: not all could be stopped; the others were.
        StateError: a log cannot be kept: its container stays.
    """
    ends, failure = _together(hands, partial(_stop_one, plan, hands=hands), action.containers)
    if isinstance(action, Remove):
        _, removal = _together(hands, lambda state: hands.engine.remove_container(state.id), ends)
        failure = failure or removal
    if failure is not None:
        raise failure
    _log.info(
        "removed containers" if isinstance(action, Remove) else "stopped containers",
        containers=[c.name for c in action.containers],
        why=action.why,
    )
    return Outcome(ended=tuple(ends))


def _together(
    hands: Hands, work: Callable[[ContainerState], T], states: Iterable[ContainerState]
) -> tuple[list[T], EngineError | StateError | None]:
    """The work on every container side by side; what came of it, and the last failure."""
    futures = [hands.stopping.submit(copy_context().run, work, state) for state in states]
    results: list[T] = []
    failure: EngineError | StateError | None = None
    for future in futures:
        try:
            results.append(future.result())
        except (EngineError, StateError) as error:
            failure = error
    return results, failure


def _stop_one(plan: JobPlan | None, state: ContainerState, *, hands: Hands) -> ContainerState:
    """Stop one container; how it ended, its log on disk to the last line."""
    ended = state
    if state.state not in {"exited", "created"}:
        instance, container = _planned(plan, state)
        if state.state == "paused":
            hands.engine.unpause_container(state.id)
        grace = instance.termination_grace if instance is not None else 30.0
        if container is not None and container.pre_stop:
            with suppress(EngineError):
                hands.engine.exec(state.id, container.pre_stop, timeout=max(grace, 1.0))
        hands.engine.stop_container(state.id, grace)
        with suppress(NotFound):
            ended = hands.engine.inspect_container(state.id)
    if state.state != "created":
        _keep_log(state, hands)
    return ended


def _keep_log(state: ContainerState, hands: Hands) -> None:
    """See that the log is on disk to its last line.

    Raises:
        StateError: the disk refuses: the container stays, with its log, until there is room.
    """
    place = place_of(state)
    if hands.logs.finish(state.id, place, timeout=LOG_TIMEOUT):
        return
    probe = hands.logs.path(place).with_suffix(".probe")
    write_atomically(probe, b"room?\n" * 1000, mode=0o600)
    probe.unlink(missing_ok=True)
    _log.warning("the end of a log may be missing", container=state.name)


def _planned(plan: JobPlan | None, state: ContainerState) -> tuple[InstancePlan | None, ContainerPlan | None]:
    for instance in plan.instances if plan is not None else ():
        for container in instance.containers:
            if container.name == state.name:
                return instance, container
    return None, None


def clean_up(record: Record, hands: Hands, *, volumes: bool) -> Outcome:
    """Remove networks, scratch volumes (with ``volumes``: all of the job's own) and files."""
    mine = selector(record.namespace, record.name, hands.host.instance)
    for network in hands.engine.list_networks(mine):
        hands.engine.remove_network(network.name)
        _log.info("removed network", network=network.name)
    for volume in hands.engine.list_volumes(mine):
        if volumes or volume.labels.get(LABEL_KIND) != VOLUME_CLAIM:
            hands.engine.remove_volume(volume.name)
            _log.info("removed volume", volume=volume.name)
    remove_files(Path(hands.host.files))
    return Outcome(cleaned=True)


def for_job(hands: Hands, record: Record) -> Hands:
    """The same hands, with the job's own folder of files."""
    folder = Path(hands.host.files) / record.namespace / record.name
    return replace(hands, host=replace(hands.host, files=str(folder)))
