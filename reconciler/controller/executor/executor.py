"""Carries out the actions of a decision, in order, and puts their results into the record.

Where something cannot be done now (an image that is missing, a container that does not start), what comes
after it is left for the next pass, which decides again.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.controller.clock import Clock, record_now, to_record_clock
from reconciler.controller.executor.cleanup import clean_up
from reconciler.controller.executor.execution_context import ExecutionContext
from reconciler.controller.executor.launch import launch_pods
from reconciler.controller.executor.networks import ensure_network
from reconciler.controller.executor.stop import dump_stacks, stop_containers
from reconciler.controller.scheduler.capacity import HostCapacity
from reconciler.controller.statemachine.action_results import apply_action_result
from reconciler.controller.statemachine.actions import (
    IMAGE_UNAVAILABLE,
    Action,
    ActionResult,
    Admit,
    CleanUp,
    DumpStacks,
    EnsureNetwork,
    Launch,
    PullImages,
    Remove,
    Stop,
)
from reconciler.controller.statemachine.observation import ImageState, Observed
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record


class Executor:
    """See the module; safe to use for different jobs at once."""

    def __init__(self, *, capacity: HostCapacity, clock: Clock) -> None:
        self._capacity = capacity
        self._clock = clock

    def execute(
        self,
        plan: JobPlan,
        record: Record,
        observed: Observed,
        actions: tuple[Action, ...],
        context: ExecutionContext,
    ) -> tuple[Record, Observed, bool]:
        """Carry out actions in order.

        Returns:
            The record with the results, the listing as far as it is known to have changed, and whether a new
            listing is needed.
        """
        relist = False
        for action in actions:
            now = record_now(record, self._clock)
            match action:
                case DumpStacks():
                    result = dump_stacks(action, context)
                case Admit():
                    result = self._admit(plan, record, context)
                case PullImages():
                    result, images = self._pull_images(record, action, context)
                    observed = replace(observed, images={**observed.images, **images})
                case EnsureNetwork():
                    result = ensure_network(plan, record, observed.network, context)
                    observed = replace(observed, network=result.network or observed.network)
                case Remove() | Stop():
                    result, relist = stop_containers(plan, action, context), True
                case CleanUp():
                    result, relist = clean_up(context, claims=False), True
                case Launch():
                    if observed.network is None:
                        break
                    result, relist = launch_pods(plan, record, observed.network, action.pods, context), True
            record = apply_action_result(
                record, result, record_now(record, self._clock) if result.started else now
            )
            if result.problem is not None or result.unfinished:
                break
        return record, observed, relist

    def _admit(self, plan: JobPlan, record: Record, context: ExecutionContext) -> ActionResult:
        priority = context.priority
        allocation = self._capacity.admit(record.key, plan, since=record.created_at, priority=priority)
        return ActionResult(allocation=allocation, priority=priority)

    def _pull_images(
        self, record: Record, action: PullImages, context: ExecutionContext
    ) -> tuple[ActionResult, dict[str, ImageState]]:
        states: dict[str, ImageState] = {}
        for request in action.images:
            state = context.pull_image(request)
            if state.retry_at is not None:
                # The puller serves many jobs, and uses the wall clock.
                state = replace(state, retry_at=to_record_clock(state.retry_at, record, self._clock))
            states[request.image] = state
        missing = [s.message for s in states.values() if s.status in {"failed", "absent"} and s.message]
        problem = (IMAGE_UNAVAILABLE, "; ".join(missing)) if missing else None
        return ActionResult(problem=problem), states
