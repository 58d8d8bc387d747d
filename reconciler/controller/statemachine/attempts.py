"""Runs of a container, attempts of a job, problems that keep it waiting, and their back-off. Pure.

What a restart, the end or a problem sets in the record.
"""

from __future__ import annotations

from typing import Final

from reconciler.controller.statemachine.actions import ENGINE_BUSY
from reconciler.state.record import Problem, Record

#: The kubelet's and the Job controller's back-off: 10 s, 20 s, 40 s, ... 6 min.
CONTAINER_BACKOFF: Final = 10.0
BACKOFF_LIMIT: Final = 360.0
#: A problem (a name that is taken) is tried again after 1 s, 2 s, 4 s, ... at most a minute.
PROBLEM_BACKOFF: Final = 1.0
#: A busy engine: after 0.2 s, 0.4 s, 0.8 s, ...; mostly it is another container's end that is under way.
BUSY_BACKOFF: Final = 0.2
#: Seconds before its time at which a problem is due: two clocks that are added up round.
ROUNDING: Final = 0.00001
PROBLEM_LIMIT: Final = 60.0
#: A gang restart waits 1 s, 2 s, 4 s, ... 6 min (this project's; JobSet has none).
GANG_BACKOFF: Final = 1.0


def backoff(failures: int, *, base: float, limit: float = BACKOFF_LIMIT) -> float:
    """Returns the seconds before try number ``failures`` + 1: doubling from ``base``, at most ``limit``."""
    return float(min(base * 2 ** min(max(failures - 1, 0), 16), limit))


def leave_behind(record: Record, *container_ids: str) -> Record:
    """Keeps the ids of containers whose run is over: they are the job's to remove, whatever their names."""
    new = [i for i in dict.fromkeys(container_ids) if i and i not in record.earlier_ids]
    return record.replace(earlier_ids=(*record.earlier_ids, *new)) if new else record


def reset_container(record: Record, name: str, *, not_before: float) -> Record:
    """Starts a new run of a container that has not failed itself."""
    record = leave_behind(record, record.container(name).container_id)
    return record.with_container(
        name,
        restart=record.container(name).restart + 1,
        result=None,
        container_id="",
        started_at=None,
        not_before=not_before,
    )


def next_attempt(record: Record, *, keep_succeeded: bool = False) -> Record:
    """Starts a new attempt of all containers; with ``keep_succeeded`` complete steps stay complete."""
    record = leave_behind(record, *record.container_ids)
    done = {s: d for s, d in record.steps_done.items() if keep_succeeded and d == "succeeded"}
    return record.replace(
        attempt=record.attempt + 1,
        containers={},
        steps_done=done,
        step_failures={},
        step_started={s: t for s, t in record.step_started.items() if s in done},
        attempt_not_before=0.0,
        problem=None,
    )


def restart_gang(record: Record, *, now: float, counted: bool, why: str) -> Record:
    """Restarts all containers as the next attempt, volumes and addresses kept, with exponential back-off.

    ``counted``: it counts towards ``maxRestarts``; ``why``: a sentence, for the event.
    """
    restarts = record.restarts + 1
    changed = next_attempt(record).replace(
        restarts=restarts,
        counted_restarts=record.counted_restarts + (1 if counted else 0),
        step_restarts={},
        counted_step_restarts={},
        attempt_not_before=now + backoff(restarts, base=GANG_BACKOFF),
    )
    message = f"{why} Attempt {changed.attempt} starts."
    return changed.with_event("Restarting", message, now=now, kind="Warning")


def finish_job(record: Record, *, now: float) -> Record:
    """Ends the job, once its condition is set: it holds no resources; only its logs are waited for."""
    return record.replace(
        finished_at=now, clock_from=now, admitted=False, queued="", problem=None, end_pending=True
    )


def record_problem(record: Record, reason: str, message: str, *, now: float) -> Record:
    """Records what keeps the job from going on; one event for as long as it stays the same.

    A busy engine stays the same problem whatever it says: its messages name ids and addresses.
    """
    old = record.problem
    busy = reason == ENGINE_BUSY
    same = old is not None and old.reason == reason and (busy or old.message == message)
    if old is not None and same and now < old.retry_at - ROUNDING:
        # Asked again before its time (an image the puller waits for): that was no further try.
        return record
    count = old.count + 1 if old is not None and same else 1
    problem = Problem(
        reason=reason,
        message=message,
        since=old.since if old is not None and same else now,
        count=count,
        retry_at=now + backoff(count, base=BUSY_BACKOFF if busy else PROBLEM_BACKOFF, limit=PROBLEM_LIMIT),
    )
    record = record.replace(problem=problem)
    return record if same else record.with_event(reason, message, now=now, kind="Warning")
