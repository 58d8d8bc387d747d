"""The records and status sidecars of one specs folder, kept consistent with each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from reconciler.api.faults import Fault
from reconciler.common.path_presence import is_absent
from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.state.kept_logs.log_folders import claim_folder, retire_folder
from reconciler.state.record import Record
from reconciler.state.record_store import RecordStore, UnusableRecord
from reconciler.state.recovery.record_recovery import recover_record
from reconciler.state.requests.removal_requests import RemovalRequests
from reconciler.state.sidecar_files import document_key, orphaned_sidecars, sidecar_path
from reconciler.state.sidecar_writer import SidecarWriter
from reconciler.state.status_documents import invalid_document, pending_document, with_condition

_JOB: Final = "TrainJob"

_log = structlog.get_logger(__name__)


class StateStore:
    """Loads and saves records, and writes statuses to the sidecars beside the manifests.

    Args:
        settings: which folders.
        locate: returns the manifest that defines a job now, by ``namespace/name``; None when none does.
        on_phase: called when a job's phase has changed, with its key and the whole document.
        on_write_failure: called with a sidecar's write that failed; it is tried again.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        locate: Callable[[str], str | None],
        on_phase: Callable[[str, Mapping[str, Any]], None],
        on_write_failure: Callable[[StateError], None],
        clock: Callable[[], float],
    ) -> None:
        self._specs = settings.specs.absolute()
        self._status_dir = settings.status_dir.absolute() if settings.status_dir else None
        self._records = RecordStore.of(settings, clock=clock)
        self._removals = RemovalRequests.of(settings)
        self._sidecars = SidecarWriter(clock=time.monotonic, on_error=on_write_failure)
        self._locate = locate
        self._on_phase = on_phase
        self._clock = clock
        self._log_dir = settings.log_dir
        #: Uid of the object that each name's log folder was last claimed for.
        self._claimed: dict[str, str] = {}
        self._lock = threading.Lock()
        self._cache: dict[str, Record] = {}
        #: Every job that a record was loaded or saved of, by its uid.
        self._keys_by_uid: dict[str, str] = {}
        #: Why a job's record was lost, and where it lies now.
        self._lost: dict[str, str] = {}
        #: The sidecar that each object's status was written to last.
        self._paths: dict[str, Path] = {}
        self._phases: dict[str, str] = {}

    # -- records

    def load(self, key: str) -> Record | None:
        """The record, recovered from the sidecar if it was lost; None for a job never seen."""
        with self._lock:
            if key in self._cache:
                return self._cache[key]
        record, why_lost = self._read(key), self._lost.get(key, "")
        if record is None and (file := self._locate(key)) is not None:
            document = self._sidecars.document(self._sidecar(file), _job_document(key))
            record = None
            if document is not None:
                record = recover_record(document, why=why_lost, now=self._clock())
            if record is not None and self._is_of_another(record):
                _log.warning("sidecar ignored", job=key, reason="its uid is that of another job")
                record = None
            if record is not None:
                record = record.replace(file=file)
                try:
                    self._records.save(record)
                except StateError:
                    # The caller must save it before it acts on it, and gets the error then.
                    return record
        if record is not None:
            self._remember(record)
        return record

    def _read(self, key: str) -> Record | None:
        """The record of this key; one that cannot be it is moved aside, and counts as lost.

        Raises:
            StateError: it cannot be read, or not be moved: the job waits, nothing is done without it.
        """
        try:
            return self._records.read(key)
        except UnusableRecord as error:
            aside = self._records.set_aside(key)
            with self._lock:
                self._lost[key] = f"{error.reason}; it lies at {aside} now"
            _log.warning("record lost", job=key, reason=error.reason, file=str(aside))
            return None

    def _is_of_another(self, record: Record) -> bool:
        """Whether another job has its uid: then the sidecar that it is recovered from is a copy."""
        with self._lock:
            return self._keys_by_uid.get(record.uid, record.key) != record.key

    def save(self, record: Record) -> None:
        """Write the record durably.

        Raises:
            StateError: the disk refuses; nothing may be done on the engine then.
        """
        self._records.save(record)
        self._remember(record)

    def claim_logs(self, record: Record, before: Record | None) -> None:
        """Make the log folder of its name the object's own; call it before the object is first acted on.

        Never raises: where it fails, the object's logs cannot be written either, and that is reported.

        Args:
            record: of the object.
            before: the record of the name until now, which a rerun counts on from; None: there was none.
        """
        with self._lock:
            if self._claimed.get(record.key) == record.uid:
                return
        continues = before.uid if before is not None and before.uid != record.uid and record.attempt else ""
        try:
            claim_folder(
                self._log_dir,
                record.namespace,
                record.name,
                record.uid,
                created_at=record.created_at,
                continues=continues,
            )
        except (OSError, StateError) as error:
            _log.warning("log folder not claimed", **_described(record, error))
            return
        with self._lock:
            self._claimed[record.key] = record.uid

    def forget(self, record: Record) -> None:
        """Rename a job's logs, remove its sidecar, then its record: a crash in between is repeated.

        A request to remove it has been carried out with that.
        """
        try:
            retire_folder(self._log_dir, record.namespace, record.name, record.uid, now=self._clock())
        except (OSError, StateError) as error:
            # It is when the next object of the name comes.
            _log.warning("log folder not renamed", **_described(record, error))
        self.remove_status(_JOB, record.key, record.file)
        self._records.delete(record.key)
        self._removals.withdraw(record.key)
        with self._lock:
            self._claimed.pop(record.key, None)
            self._cache.pop(record.key, None)
            self._phases.pop(record.key, None)
            self._lost.pop(record.key, None)
            if self._keys_by_uid.get(record.uid) == record.key:
                del self._keys_by_uid[record.uid]

    def keys(self) -> list[str]:
        """Keys of all records.

        Raises:
            StateError: they cannot be listed.
        """
        return list(self._records.keys())

    def records(self) -> Iterator[Record]:
        """All records, by key; those that cannot be used are left out: their jobs' passes report why.

        Raises:
            StateError: the records cannot be listed.
        """
        for key in sorted(self.keys()):
            with suppress(StateError):
                if (record := self.load(key)) is not None:
                    yield record

    def unfinished(self) -> set[str]:
        """Keys of the jobs that have been worked on and have not ended."""
        with self._lock:
            return {key for key, record in self._cache.items() if not record.finished}

    # -- removals that a person asked for by name

    def requested_removals(self) -> frozenset[str]:
        """Keys of the jobs that were asked to be removed, of the object that there is now."""
        return self._removals.keys_for(self.load)

    def removals_changed(self) -> bool:
        """Whether somebody has asked since the last call."""
        return self._removals.has_changed()

    def withdraw_void_removals(self, defined: Collection[str]) -> None:
        """Withdraw requests that are not to be carried out any more; ``defined``: jobs with a manifest.

        Raises:
            StateError: one cannot be removed.
        """
        self._removals.withdraw_void(defined, self.load, now=self._clock())

    # -- statuses

    def phase(self, key: str) -> str:
        """The phase written last; "" for a job without a status."""
        with self._lock:
            return self._phases.get(key, "")

    def status_is_current(self, record: Record) -> bool:
        """Whether the sidecar is on disk, belongs to this uid, and says how the job ended."""
        path = self._sidecar(record.file)
        document = self._sidecars.document(path, _job_document(record.key))
        if document is None or document.get("metadata", {}).get("uid") != record.uid or is_absent(path):
            return False
        # One that could not be written when the job ended (a full disk, then a kill) is older than the end.
        shown = {c.get("type") for c in document["status"].get("conditions", ()) if c.get("status") == "True"}
        if not all(c.type in shown for c in record.conditions if c.status == "True"):
            return False
        self._note_phase(record.key, document)
        return True

    def write_status(self, record: Record, document: Mapping[str, Any], *, urgent: bool) -> None:
        """Write a job's status; where its manifest moved, the sidecar moves along."""
        changed = self.phase(record.key) != document["status"]["phase"]
        self._put(record.file, document, urgent=urgent or changed)
        self._note_phase(record.key, document)

    def write_invalid_status(self, kind: str, key: str, file: str, faults: Sequence[Fault]) -> None:
        """Write the status of a manifest that cannot be used."""
        namespace, _, name = key.partition("/")
        document = invalid_document(kind, namespace, name, faults, now=self._clock())
        known = self._sidecars.document(self._sidecar(file), document_key(document))
        status = known["status"] if known is not None else {}
        if status.get("phase") == "Invalid" and status.get("errors") == document["status"]["errors"]:
            document = {**document, "status": status}  # keeps the time at which it became invalid
        self._put(file, document, urgent=True)
        if kind == _JOB:
            self._note_phase(key, document)

    def set_message(
        self, key: str, file: str, message: str, *, condition: tuple[str, str] | None = None
    ) -> None:
        """Set the message of a job's present status; a job without a status is Pending.

        Args:
            key: of the job.
            file: its manifest; nothing is done without one.
            message: of the status.
            condition: type and reason of a condition that is True and has the same message.
        """
        if not file:
            return
        namespace, _, name = key.partition("/")
        known = self._sidecars.document(self._sidecar(file), _job_document(key))
        document = known or pending_document(namespace, name)
        status = {**document["status"], "message": message}
        if condition is not None:
            told = status.get("conditions", ())
            status["conditions"] = with_condition(told, *condition, message, now=self._clock())
        changed = {**document, "status": status}
        self._put(file, changed, urgent=True)
        self._note_phase(key, changed)

    def remove_status(self, kind: str, key: str, file: str) -> None:
        """Remove an object from its sidecar."""
        name = f"{kind}/{key}"
        with self._lock:
            path = self._paths.pop(name, None)
            self._phases.pop(key, None)
        if path is None and file:
            path = self._sidecar(file)
        if path is not None:
            self._sidecars.remove(path, name)

    def remove_outdated_sidecar(self, record: Record) -> None:
        """Remove the status beside the manifest that this record names, because the manifest has moved.

        One left behind would be taken for the status of the next job that is written there.
        """
        name, path = _job_document(record.key), self._sidecar(record.file)
        with self._lock:
            written = self._paths.pop(name, path)
        for place in {path, written}:
            self._sidecars.remove(place, name)

    def remove_orphaned_sidecars(self) -> None:
        """Remove sidecars of manifests that were removed while no daemon ran, unless a record names them.

        Those go with their job; a job that has moved has its status beside its manifest, and nowhere else. A
        record that cannot be read now may name any of them.
        """
        records = list(self.records())
        unread = {_job_document(key) for key in set(self.keys()) - {r.key for r in records}}
        for path in orphaned_sidecars(specs=self._specs, status_dir=self._status_dir):
            keep = {_job_document(r.key) for r in records if r.file and self._sidecar(r.file) == path}
            self._sidecars.retain(path, keep | unread)

    def retain_statuses(self, file: str, keys: Collection[str]) -> None:
        """Remove from a manifest's sidecar all objects but these (``Kind/namespace/name``)."""
        self._sidecars.retain(self._sidecar(file), keys)

    def rewrite_missing_sidecars(self) -> None:
        """Write again the sidecars that somebody removed."""
        self._sidecars.rewrite_missing()

    def flush(self, *, everything: bool = False) -> float | None:
        """Write the sidecars that are due; returns seconds until the next one is, None when none waits."""
        return self._sidecars.flush(everything=everything)

    def _sidecar(self, file: str) -> Path:
        return sidecar_path(Path(file), specs=self._specs, status_dir=self._status_dir)

    def _put(self, file: str, document: Mapping[str, Any], *, urgent: bool) -> None:
        """Write an object's document beside its manifest, and nowhere else."""
        key, path = document_key(document), self._sidecar(file)
        with self._lock:
            before = self._paths.get(key)
            self._paths[key] = path
        if before is not None and before != path:
            self._sidecars.remove(before, key)
        self._sidecars.put(path, key, document, manifest=Path(file), urgent=urgent)

    def _note_phase(self, key: str, document: Mapping[str, Any]) -> None:
        phase = document["status"].get("phase", "")
        with self._lock:
            changed = self._phases.get(key) != phase
            self._phases[key] = phase
        if changed:
            self._on_phase(key, document)

    def _remember(self, record: Record) -> None:
        """Cache it, unless it is over: nothing asks for those, and a thousand of them are megabytes."""
        with self._lock:
            self._keys_by_uid[record.uid] = record.key
            if record.finished and record.cleaned:
                self._cache.pop(record.key, None)
            else:
                self._cache[record.key] = record


def _job_document(key: str) -> str:
    return f"{_JOB}/{key}"


def _described(record: Record, error: Exception) -> dict[str, str]:
    return {"namespace": record.namespace, "job": record.name, "reason": str(error)}
