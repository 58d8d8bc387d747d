"""Stops the jobs of a daemon that ends with ``--stop-jobs-on-exit``, so that the next one goes on with them.

A container that is merely stopped looks like one that failed, and the next daemon would count it against the
job's back-off. So a job is stood down as one that makes room for another: the record says first that it waits
(Suspended), then its containers are stopped within their grace period and removed, logs kept. The next daemon
admits it again, as the next attempt, without a failure counted and with its deadline running from then.

What can go wrong: the daemon is killed in between. The record was saved first, so the next one finds a job
that waits and containers that have to go, and removes them. A job whose containers have all ended by
themselves is left as it is: how it ended is still to be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from reconciler.controller.executor.execution_context import Hands, selector
from reconciler.controller.executor.stop import stop
from reconciler.controller.plan_cache import Planner
from reconciler.controller.reconciler import Outlet, Request
from reconciler.controller.statemachine.actions import Remove
from reconciler.controller.statemachine.observation import Observed
from reconciler.controller.statemachine.restart_policy import next_attempt
from reconciler.controller.status.status_builder import present
from reconciler.controller.thread_pool import DaemonPool
from reconciler.errors import PlanError, ReconcilerError
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record

MESSAGE: Final = "The reconciler was stopped, and its jobs with it; the job goes on when it starts again."
#: Jobs stopped at a time; their containers share a pool.
WIDTH: Final = 64

_log = structlog.get_logger(__name__)


def stand_down(
    jobs: Sequence[tuple[Record, Request]],
    *,
    hands: Callable[[JobPlan | None, Record], Hands],
    outlet: Outlet,
    planner: Planner,
    clock: Callable[[], float],
) -> None:
    """Stop every job that has containers running; returns when all have ended.

    Args:
        jobs: with what their status shows besides; nobody else may work on them now.
        hands: how to act for a job.
        outlet: where records and statuses go.
        planner: of the jobs.
        clock: seconds since the epoch.
    """

    def one(record: Record, request: Request) -> None:
        try:
            _stand_down(record, request, hands=hands, outlet=outlet, planner=planner, now=clock())
        except ReconcilerError as error:
            _log.warning("job not stopped", namespace=record.namespace, job=record.name, reason=str(error))

    pool = DaemonPool(WIDTH, "stand-down")
    futures = [pool.submit(one, record, request) for record, request in jobs if record.admitted]
    for future in futures:
        future.result()
    pool.shutdown()


def stood_down(record: Record, *, now: float) -> Record:
    """The record of a job that waits for the next daemon; what has succeeded stays so."""
    waiting = next_attempt(record, keep_succeeded=True).model_copy(
        update={"preempted": True, "admitted": False, "queued": MESSAGE}
    )
    waiting = waiting.with_condition("Suspended", "True", "Stopped", MESSAGE, now=now)
    return waiting.with_event("Stopped", MESSAGE, now=now)


def _stand_down(
    record: Record,
    request: Request,
    *,
    hands: Callable[[JobPlan | None, Record], Hands],
    outlet: Outlet,
    planner: Planner,
    now: float,
) -> None:
    if record.finished or not record.runtime:
        return
    try:
        plan = planner.plan(record)
    except PlanError:
        plan = None
    with_hands = hands(plan, record)
    mine = selector(record.namespace, record.name, with_hands.host.instance)
    containers = tuple(with_hands.engine.list_containers(mine))
    if all(c.state == "exited" for c in containers):
        return
    waiting = stood_down(record, now=now)
    outlet.save(waiting)
    stop(plan, Remove(containers=containers, why="the reconciler stops"), with_hands)
    document = present(plan, Observed(), waiting, request.surroundings)
    outlet.tell(waiting, document, urgent=True)
