"""Stops and removes containers; no container is removed before its log is on disk to the last line.

Nothing waits here for logs that take their time: the containers stay, and a later pass removes them.

What can go wrong: an engine that answers for some containers and not for others (the rest is stopped, the
next pass tries again), and a disk without room for a log (its container stays).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from typing import TypeVar

import structlog

from reconciler.controller.executor.execution_context import (
    ExecutionContext,
    log_location_of,
    observe_logs,
)
from reconciler.controller.statemachine.actions import ActionResult, DumpStacks, Remove, Stop
from reconciler.controller.statemachine.observation import Observed, container_identity
from reconciler.engines.protocol import ContainerState
from reconciler.errors import EngineError, NotFound, StateError
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan
from reconciler.state.atomic_files import write_atomically

#: Seconds that a pass waits for the rest of the logs of containers that it has stopped.
LOG_PATIENCE = 0.25
#: All processes of the container: the launcher is seldom the one that hangs.
DUMP_SCRIPT = (
    "command -v py-spy >/dev/null || { echo the image has no py-spy; exit 127; }; "
    "for p in $(ls /proc | grep '^[0-9]*$'); do py-spy dump --pid $p 2>/dev/null; done; exit 0"
)
DUMP_COMMAND = ("sh", "-c", DUMP_SCRIPT)
DUMP_TIMEOUT = 15.0

T = TypeVar("T")
_log = structlog.get_logger(__name__)


def dump_stacks(action: DumpStacks, context: ExecutionContext) -> ActionResult:
    """Keep the stacks of a stalled job's ranks beside their logs, where the image has py-spy."""
    for state in action.containers:
        try:
            code, output = context.engine.exec(state.id, DUMP_COMMAND, timeout=DUMP_TIMEOUT)
        except EngineError as error:
            code, output = -1, str(error).encode()
        path = context.logs.path(log_location_of(state)).with_suffix(".stack.txt")
        text = output if code == 0 else b"No stack: " + (output.strip() or b"py-spy failed") + b"\n"
        with suppress(StateError, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text, mode=0o600)
        _log.warning("rank stalled", container=state.name, stack=str(path) if code == 0 else "")
    return ActionResult()


def stop_containers(
    plan: JobPlan | None,
    action: Stop | Remove,
    context: ExecutionContext,
    *,
    log_patience: float = LOG_PATIENCE,
) -> ActionResult:
    """Stop containers side by side; after :class:`Remove` they are gone, their logs kept.

    All logs are read before the first container is removed: Podman removes along with a container those that
    share its network.

    Args:
        plan: of the job, where it is known.
        action: which containers.
        context: of the job.
        log_patience: seconds to wait for the rest of the logs.

    Returns:
        Which were stopped; ``unfinished`` where they could not be removed yet.

    Raises:
        EngineError: not all could be stopped; the others were.
    """
    ended, failure = _side_by_side(context, lambda state: _stop(plan, state, context), action.containers)
    removes = isinstance(action, Remove)
    if removes and _must_stay(ended, context, log_patience):
        if failure is not None:
            raise failure
        return ActionResult(stopped=tuple(ended), unfinished=True)
    if removes:
        _, removal = _side_by_side(context, lambda state: context.engine.remove_container(state.id), ended)
        failure = failure or removal
    if failure is not None:
        raise failure
    _log.info(
        "containers removed" if removes else "containers stopped",
        containers=[c.name for c in action.containers],
        why=action.why,
    )
    return ActionResult(stopped=tuple(ended))


def _must_stay(ended: list[ContainerState], context: ExecutionContext, patience: float) -> bool:
    """Whether containers cannot be removed yet: a log is not on disk, or one is still about to end."""
    if any(state.state not in {"exited", "created"} for state in ended):
        return True
    context.logs.wait(observe_logs(ended, context), timeout=patience)
    return Observed(logs=observe_logs(ended, context)).must_stay(ended)


def _side_by_side(
    context: ExecutionContext, work: Callable[[ContainerState], T], states: Iterable[ContainerState]
) -> tuple[list[T], EngineError | StateError | None]:
    """Do the work for every container at once; returns the results and the last failure."""
    futures = [context.stop_pool.submit(copy_context().run, work, state) for state in states]
    results: list[T] = []
    failure: EngineError | StateError | None = None
    for future in futures:
        try:
            results.append(future.result())
        except (EngineError, StateError) as error:
            failure = error
    return results, failure


def _stop(plan: JobPlan | None, state: ContainerState, context: ExecutionContext) -> ContainerState:
    """Stop one container; returns how it ended."""
    if state.state not in {"exited", "created"}:
        pod, container = _find_planned(plan, state)
        if state.state == "paused":
            context.engine.unpause_container(state.id)
        grace = pod.termination_grace if pod is not None else 30.0
        if container is not None and container.pre_stop:
            with suppress(EngineError):
                context.engine.exec(state.id, container.pre_stop, timeout=max(grace, 1.0))
        if container is not None and container.pre_stop_sleep:
            # As the kubelet: no longer than the grace period.
            threading.Event().wait(min(container.pre_stop_sleep, grace))
        context.engine.stop_container(state.id, grace)
        try:
            return context.engine.inspect_container(state.id)
        except NotFound:
            # Gone, and its log with it but for what was read; unless the engine is wrong.
            return replace(state, state="exited", exit=None)
    return state


def _find_planned(plan: JobPlan | None, state: ContainerState) -> tuple[PodPlan | None, ContainerPlan | None]:
    """The place in the plan that its labels name: it may have been renamed by hand."""
    pods = plan.pods if plan is not None else ()
    places = (((pod.step, pod.index, c.container), pod, c) for pod in pods for c in pod.containers)
    identity = container_identity(state)
    return next(((pod, c) for place, pod, c in places if place == identity), (None, None))
