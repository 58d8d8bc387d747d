"""Ends containers on the engine, and removes what a job leaves there. Holds nothing between calls.

Nothing is removed before its log is on disk to the last line. What can go wrong: an engine that answers for
some containers and not for others (the rest is stopped, the next pass tries again), and a disk without room
for a log (its container stays).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import TypeVar

import structlog

from reconciler.controller.executor.container_specs import VOLUME_CLAIM
from reconciler.controller.executor.execution_context import Hands, place_of, selector
from reconciler.controller.executor.mounted_files import remove_files
from reconciler.controller.statemachine.actions import Dump, Outcome, Remove, Stop
from reconciler.engines.protocol import ContainerState
from reconciler.errors import EngineError, NotFound, StateError
from reconciler.names import LABEL_KIND
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan
from reconciler.state.atomic_files import write_atomically
from reconciler.state.record import Record

#: Seconds to wait for the rest of a log after its container has ended.
LOG_TIMEOUT = 10.0
#: All processes of the container: the launcher is seldom the one that hangs.
DUMP_SCRIPT = (
    "command -v py-spy >/dev/null || { echo the image has no py-spy; exit 127; }; "
    "for p in $(ls /proc | grep '^[0-9]*$'); do py-spy dump --pid $p 2>/dev/null; done; exit 0"
)
DUMP_COMMAND = ("sh", "-c", DUMP_SCRIPT)
DUMP_TIMEOUT = 15.0

T = TypeVar("T")
_log = structlog.get_logger(__name__)


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
        pod, container = _planned(plan, state)
        if state.state == "paused":
            hands.engine.unpause_container(state.id)
        grace = pod.termination_grace if pod is not None else 30.0
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


def _planned(plan: JobPlan | None, state: ContainerState) -> tuple[PodPlan | None, ContainerPlan | None]:
    for pod in plan.pods if plan is not None else ():
        for container in pod.containers:
            if container.name == state.name:
                return pod, container
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
