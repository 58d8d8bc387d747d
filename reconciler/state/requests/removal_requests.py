"""Requests to remove a job by name: ``reconciler delete`` and ``delete_job()`` leave one beside their edit.

A folder that has lost all of its manifests is not believed (an unmounted disk, a failed checkout), so a
person who deletes the last jobs one by one has to be told from an accident: by a request for each, written
before the manifest is edited. It names an object, not a name: the uid, or what was there when the person
asked. The daemon carries it out only while no manifest defines the job, and withdraws it then.

What can go wrong: the command is killed between request and edit, or the manifest comes back. Such a request
is void after a minute (:meth:`RemovalRequests.withdraw_void`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from reconciler.common.regular_files import read_regular_file
from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.names import job_key
from reconciler.state.atomic_files import remove_if_exists, write_atomically

#: Seconds by which an object may be younger than the request: a pass was under way meanwhile.
PASS_UNDER_WAY: Final = 5.0
#: Seconds that a command has to edit the manifest after its request.
EDIT_TIME: Final = 60.0
#: Bytes: more than any request has.
MAX_SIZE: Final = 4096


class Recorded(Protocol):
    """What a request compares with: a job's record."""

    @property
    def uid(self) -> str:
        """Of the object that there is now."""

    @property
    def created_at(self) -> float:
        """When it was accepted, seconds since the epoch."""


@dataclass(frozen=True, kw_only=True)
class RemovalRequest:
    """One request.

    Attributes:
        uid: of the object; "" where the command knew none.
        requested_at: seconds since the epoch.
    """

    namespace: str
    name: str
    uid: str
    requested_at: float

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return job_key(self.namespace, self.name)

    def is_for(self, record: Recorded | None) -> bool:
        """Whether this object was meant: it has the uid, or existed then (a rerun changes the uid).

        A job without a record has only what its labels are on; that is meant, too.
        """
        if record is None:
            return True
        return record.uid == self.uid or record.created_at <= self.requested_at + PASS_UNDER_WAY


class RemovalRequests:
    """The requests for the daemon of one instance.

    Args:
        folder: ``<state>/removals/<instance>``; made with the first request.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[int, int] | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The requests of the instance that the settings name."""
        return cls(settings.state_dir / "removals" / settings.instance)

    def add(self, request: RemovalRequest) -> None:
        """Write a request durably, in place of an earlier one for the job.

        Raises:
            StateError: the disk refuses, or the state folder is another user's.
        """
        data = {
            "namespace": request.namespace,
            "name": request.name,
            "uid": request.uid,
            "requestedAt": request.requested_at,
        }
        write_atomically(self._path(request.key), json.dumps(data).encode(), mode=0o600)

    def withdraw(self, key: str) -> None:
        """Remove a job's request; one that is not there is no error.

        Raises:
            StateError: it cannot be removed.
        """
        remove_if_exists(self._path(key))

    def read(self) -> list[RemovalRequest]:
        """All requests; what is none, or cannot be read, is left out."""
        try:
            names = sorted(os.listdir(self._folder))  # noqa: PTH208  (looked at in each scan)
        except OSError:
            return []
        found = [_read(self._folder / name) for name in names if name.endswith(".json")]
        return [request for request in found if request is not None]

    def keys_for(self, record_of: Callable[[str], Recorded | None]) -> frozenset[str]:
        """Keys of the jobs whose present object was asked to be removed.

        Args:
            record_of: returns a job's record by its key.
        """
        return frozenset(r.key for r in self.read() if r.is_for(record_of(r.key)))

    def has_changed(self) -> bool:
        """Whether a request was written or withdrawn since the last call."""
        try:
            facts = os.stat(self._folder)  # noqa: PTH116  (several times a second)
            now: tuple[int, int] | None = (facts.st_mtime_ns, facts.st_ino)
        except OSError:
            now = None
        before, self._seen = self._seen, now
        return now != before

    def withdraw_void(
        self, defined: Collection[str], record_of: Callable[[str], Recorded | None], *, now: float
    ) -> None:
        """Withdraw what is not to be carried out any more: the manifest is there (again), the object is not.

        Args:
            defined: keys of the jobs that have a manifest.
            record_of: returns a job's record by its key.
            now: seconds since the epoch.

        Raises:
            StateError: one cannot be removed.
        """
        for request in self.read():
            recorded = record_of(request.key)
            outlived = recorded is None or not request.is_for(recorded)
            if (outlived or request.key in defined) and not 0 <= now - request.requested_at < EDIT_TIME:
                self.withdraw(request.key)

    def _path(self, key: str) -> Path:
        # A name may be as long as a file's name can be: nothing more would fit.
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> RemovalRequest | None:
    try:
        data = json.loads(read_regular_file(path, limit=MAX_SIZE, follow_links=False))
        return RemovalRequest(
            namespace=str(data["namespace"]),
            name=str(data["name"]),
            uid=str(data["uid"]),
            requested_at=float(data["requestedAt"]),
        )
    except (OSError, ValueError, KeyError, TypeError, StateError):
        return None
