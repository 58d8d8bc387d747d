"""Stops the jobs of a daemon that ends with ``--stop-jobs-on-exit``; the next daemon goes on with them.

A container that is merely stopped looks like one that failed, and the next daemon would count it against the
job's back-off. So a job is stopped as one that is preempted: its record says first that it waits (Suspended),
then its containers are stopped within their grace period and removed, logs kept. The next daemon admits it
again, as the next attempt, without a failure counted and with its deadline running from then.

What can go wrong: the daemon is killed in between. The record was saved first, so the next daemon finds a job
that waits and containers that have to go, and removes them. A job whose containers have all ended by
themselves is left as it is: how it ended is still to be observed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from reconciler.controller.engine_session import EngineSession
from reconciler.controller.executor.stop import stop_containers
from reconciler.controller.missing_containers import confirm_missing
from reconciler.controller.plan_cache import PlanCache
from reconciler.controller.statemachine.actions import Remove
from reconciler.controller.statemachine.observation import Observed
from reconciler.controller.statemachine.ownership import own_containers
from reconciler.controller.statemachine.suspension import suspend_until_next_start
from reconciler.controller.status.status_builder import StatusContext, build_status
from reconciler.controller.thread_pool import DaemonThreadPool
from reconciler.errors import ReconcilerError
from reconciler.state.record import Record
from reconciler.state.state_store import StateStore

#: Jobs stopped at a time; their containers share a pool.
WIDTH: Final = 64
#: Seconds to wait for the rest of a job's logs; containers whose log is not read then are the next daemon's.
LOG_PATIENCE: Final = 10.0

_log = structlog.get_logger(__name__)


def stop_jobs(
    jobs: Sequence[tuple[Record, StatusContext]],
    *,
    engine: EngineSession,
    state: StateStore,
    plans: PlanCache,
    clock: Callable[[], float],
) -> None:
    """Stop every job that has containers running; returns when all have ended.

    No pass may work on them now. With each comes what its status shows besides.
    """

    def stop(record: Record, status_context: StatusContext) -> None:
        plan = plans.plan_if_valid(record)
        try:
            context = engine.context(plan, record)
            listed = context.engine.list_containers(context.selector)
            confirm_missing(context.engine, listed, record)
            containers = own_containers(listed, plan, record)
            if all(c.state == "exited" for c in containers):
                return
            waiting = suspend_until_next_start(record, clock())
            state.save(waiting)
            remove = Remove(containers=containers, why="the reconciler stops")
            stop_containers(plan, remove, context, log_patience=LOG_PATIENCE)
            document = build_status(plan, Observed(), waiting, status_context)
            state.write_status(waiting, document, urgent=True)
        except ReconcilerError as error:
            _log.warning("job not stopped", namespace=record.namespace, job=record.name, reason=str(error))

    pool = DaemonThreadPool(WIDTH, "stop-job")
    futures = [
        pool.submit(stop, record, status_context)
        for record, status_context in jobs
        if record.admitted and record.runtime and not record.finished
    ]
    for future in futures:
        future.result()
    pool.shutdown()
