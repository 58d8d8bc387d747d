"""Carries out what a decision asks for, in order, and notes how it went on the record.

Where something cannot be done now (an image that is not there, a container that does not start), what comes
after it is left for the next pass, which decides anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciler.controller.clock import Clock, by_record, now_of
from reconciler.controller.executor import launch, stop
from reconciler.controller.executor.execution_context import Hands
from reconciler.controller.scheduler.capacity import Ledger
from reconciler.controller.statemachine.action_results import note
from reconciler.controller.statemachine.actions import (
    Action,
    Admit,
    CleanUp,
    Dump,
    EnsureNetwork,
    Launch,
    Outcome,
    PullImages,
    Remove,
    Stop,
)
from reconciler.controller.statemachine.decide import IMAGE_PROBLEM
from reconciler.controller.statemachine.image_state import ImageState
from reconciler.controller.statemachine.observation import Observed
from reconciler.engines.protocol import NetworkState
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record

#: Asks for an image: ``(image, policy, pull secrets, job's key, token)``.
Pull = Callable[[str, str, tuple[str, ...], str, str], ImageState]


class Acting:
    """See the module; safe to use for different jobs at once.

    Args:
        ledger: of what the host's jobs share.
        clock: the host's.
        pull: asks for an image.
        priority: of a job among those that wait for admission; the higher goes first.
    """

    def __init__(
        self, *, ledger: Ledger, clock: Clock, pull: Pull, priority: Callable[[JobPlan], int]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._pull = pull
        self._priority = priority

    def carry_out(
        self,
        plan: JobPlan,
        record: Record,
        observed: Observed,
        actions: tuple[Action, ...],
        hands: Hands,
    ) -> tuple[Record, Observed, bool]:
        """Carry out actions in order; launches that follow each other go side by side.

        Returns:
            The record with how they went, the listing as far as it is known to have changed, and
            whether a new listing is needed.
        """
        touched = False
        for group in _grouped(actions):
            now = now_of(record, self._clock)
            match group:
                case [Dump() as asked]:
                    outcome = stop.dump(asked, hands)
                case [Admit()]:
                    outcome = self._admit(plan, record)
                case [PullImages() as wanted]:
                    outcome, images = self._pull_all(record, wanted)
                    observed = replace(observed, images={**observed.images, **images})
                case [EnsureNetwork()]:
                    outcome = launch.ensure_network(plan, record, observed.network, hands)
                    observed = replace(observed, network=_network(plan, observed, outcome))
                case [Remove() | Stop() as ending]:
                    outcome, touched = stop.stop(plan, ending, hands), True
                case [CleanUp()]:
                    outcome, touched = stop.clean_up(record, hands, volumes=False), True
                case _:
                    launches = [action for action in group if isinstance(action, Launch)]
                    if observed.network is None:
                        break
                    outcome, touched = launch.launch(plan, record, observed.network, launches, hands), True
            record = note(record, outcome, now_of(record, self._clock) if outcome.started else now)
            if outcome.problem is not None:
                break
        return record, observed, touched

    def _admit(self, plan: JobPlan, record: Record) -> Outcome:
        priority = self._priority(plan)
        grant = self._ledger.admit(record.key, plan, since=record.created_at, priority=priority)
        if grant.waiting:
            return Outcome(waiting=grant.waiting, share=grant.share, priority=priority)
        return Outcome(admitted=grant.devices, share=grant.share, priority=priority)

    def _pull_all(self, record: Record, wanted: PullImages) -> tuple[Outcome, dict[str, ImageState]]:
        token = f"{record.uid}/{record.attempt}"
        states: dict[str, ImageState] = {}
        for image, policy, secrets in wanted.images:
            state = self._pull(image, policy, secrets, record.key, token)
            if state.retry_at is not None:
                # The puller serves many jobs, and goes by the wall clock.
                state = replace(state, retry_at=by_record(state.retry_at, record, self._clock))
            states[image] = state
        missing = [s.message for s in states.values() if s.status in {"failed", "absent"} and s.message]
        problem = (IMAGE_PROBLEM, "; ".join(missing)) if missing else None
        return Outcome(problem=problem), states


def _grouped(actions: tuple[Action, ...]) -> list[list[Action]]:
    """Actions in order, launches that follow each other as one group."""
    groups: list[list[Action]] = []
    for action in actions:
        if isinstance(action, Launch) and groups and isinstance(groups[-1][-1], Launch):
            groups[-1].append(action)
        else:
            groups.append([action])
    return groups


def _network(plan: JobPlan, observed: Observed, outcome: Outcome) -> NetworkState | None:
    if outcome.network is None:
        return observed.network
    identifier, subnet, gateway, port = outcome.network
    return NetworkState(
        id=identifier, name=plan.network, labels={}, subnet=subnet, gateway=gateway, port=port
    )
