"""Removes jobs that a person names: the edit of the manifest, and the request that goes before it.

``reconciler delete`` and ``delete_job()`` use it. The request (:mod:`reconciler.state.requests`) tells the
daemon that an emptied folder is no accident; the daemon, running now or started later, does the rest. What
can go wrong: a state folder of another user's takes no request. The manifest is removed all the same, and the
caller is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.state.locks import daemon_lock_path
from reconciler.state.requests.removal_requests import RemovalRequest, RemovalRequests
from reconciler.state.state_directory import prepare_state_directory

if TYPE_CHECKING:
    from reconciler.client.jobs.job_snapshots import Job

T = TypeVar("T")


def remove_by_name(
    job: Job, settings: Settings, edit: Callable[[], T], *, warn: Callable[[str], None]
) -> tuple[T, bool]:
    """Requests the removal of a job, then edits its manifest; without the edit there is no request.

    Args:
        job: as it is now.
        settings: say which daemon.
        edit: removes it from its manifest.
        warn: called with a sentence where the request could not be left.

    Returns:
        What ``edit`` returns, and whether there is a request.

    Raises:
        ReconcilerError: what ``edit`` raises.
    """
    requested = request_removal(job, settings, warn=warn)
    try:
        return edit(), requested
    except BaseException:
        if requested:
            RemovalRequests.of(settings).withdraw(job.key)
        raise


def request_removal(job: Job, settings: Settings, *, warn: Callable[[str], None]) -> bool:
    """Requests the removal of a job; returns whether there is a request for a daemon now.

    A job that no daemon has seen, in a folder that none has worked on, needs none.
    """
    try:
        uid = _recorded_uid(job, settings)
        if not uid and job.status is None and not daemon_lock_path(settings).exists():
            return False
        prepare_state_directory(settings.state_dir)
        reported = str(job.status.metadata.get("uid") or "") if job.status is not None else ""
        RemovalRequests.of(settings).add(
            RemovalRequest(
                namespace=job.namespace, name=job.name, uid=uid or reported, requested_at=time.time()
            )
        )
    except (StateError, OSError) as error:
        warn(
            f"The daemon of the folder cannot be told that {job.short_name} is to be removed ({error}). "
            "Where that leaves no manifest in the folder, it takes it for an accident and goes on with the "
            "job: then run it with --allow-empty."
        )
        return False
    return True


def _recorded_uid(job: Job, settings: Settings) -> str:
    """The uid by the record, which is newer than the status; "" where there is none."""
    from reconciler.state.record_store import RecordStore  # noqa: PLC0415  (imports pydantic)

    record = RecordStore.of(settings).load(job.key)
    return record.uid if record is not None else ""
