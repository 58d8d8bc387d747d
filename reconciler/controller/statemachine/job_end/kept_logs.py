"""What the kept logs mean for a job: its end is told when they are on disk. Pure.

A job's end is decided when it has ended, and its devices are free from then on. It is *told* (phase,
conditions, the ``wait`` of a command) when every container has ended and its log is on disk, or cannot be
waited for any longer; until then the record says that the end is pending.
"""

from __future__ import annotations

from typing import Final

from reconciler.controller.statemachine.event_recorder import record_once
from reconciler.controller.statemachine.observation import Observed
from reconciler.plan.job_plan import JobPlan
from reconciler.state.record import Record

#: Reason of the event that a kept log may lack its end.
LOG_INCOMPLETE: Final = "LogIncomplete"
#: Seconds, beyond its grace period, that the end of a job is not told because a container cannot be stopped.
STOP_LIMIT: Final = 300.0


def record_logs(observed: Observed, record: Record, *, now: float) -> Record:
    """Records why a log cannot be written now, and once for each log that it may lack its end."""
    names = {c.id: c.name for c in observed.containers}
    names |= {c.container_id: name for name, c in record.containers.items() if c.container_id}
    problem = ""
    for identifier, log in sorted(observed.logs.items()):
        name = names.get(identifier, identifier[:12])
        if log.progress == "lost":
            message = f"The kept log of {name} may lack its end: {log.problem}"
        elif log.problem:
            problem = problem or log.problem
            if log.progress != "late":
                continue
            message = f"The kept log of {name} lacks its end until there is room: {log.problem}"
        else:
            continue
        key = f"log-{log.progress}:{identifier}"
        record = record_once(record, key, LOG_INCOMPLETE, message, now=now, kind="Warning")
    if problem == record.log_problem:
        return record
    since = record.log_problem_since if problem and record.log_problem else now
    return record.replace(log_problem=problem, log_problem_since=since if problem else 0.0)


def hold_end(plan: JobPlan, observed: Observed, record: Record, now: float) -> tuple[Record, float | None]:
    """Decides whether the end of a job that has ended can be told.

    An end that was told stays told.

    Returns:
        The record, and when to decide again if nothing happens before.
    """
    if not record.end_pending:
        return record, None
    unread = any(log.progress == "reading" for log in observed.logs.values())
    grace = max((pod.termination_grace for pod in plan.pods), default=0.0)
    give_up_at = record.clock_from + grace + STOP_LIMIT
    stopping = [c for c in observed.containers if c.state not in {"exited", "created"}]
    if stopping and now >= give_up_at:
        for state in stopping:
            message = f"The kept log of {state.name} may lack its end: the container does not stop."
            key = f"log-stop:{state.id}"
            record = record_once(record, key, LOG_INCOMPLETE, message, now=now, kind="Warning")
        stopping = []
    return record.replace(end_pending=unread or bool(stopping)), give_up_at if stopping else None
