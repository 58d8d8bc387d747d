"""Where records and statuses go: the record store and the sidecars, as one outlet per specs folder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.api.faults import Fault
from reconciler.controller.status.status_builder import invalid, waiting
from reconciler.errors import StateError
from reconciler.state.record import Record
from reconciler.state.record_recovery import recover
from reconciler.state.record_store import RecordStore
from reconciler.state.sidecar_writer import SidecarWriter, document_key, orphaned_sidecars, sidecar_path


class FolderOutlet:
    """Records on disk, sidecars beside the manifests.

    Args:
        locate: the manifest that defines a job now, by ``namespace/name``; None when nobody does.
        clock: seconds since the epoch.
        on_phase: told when a job's phase has changed: key and the whole document.
    """

    def __init__(
        self,
        *,
        records: RecordStore,
        sidecars: SidecarWriter,
        specs: Path,
        status_dir: Path | None,
        locate: Callable[[str], str | None],
        on_phase: Callable[[str, Mapping[str, Any]], None],
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._records = records
        self._sidecars = sidecars
        self._specs = specs
        self._status_dir = status_dir
        self._locate = locate
        self._on_phase = on_phase
        self._lock = threading.Lock()
        self._cache: dict[str, Record] = {}
        self._paths: dict[str, Path] = {}
        self._phases: dict[str, str] = {}

    def path(self, file: str) -> Path:
        """The sidecar of a manifest."""
        return sidecar_path(Path(file), specs=self._specs, status_dir=self._status_dir)

    def load(self, key: str) -> Record | None:
        """The record; from the sidecar when it was lost."""
        with self._lock:
            if key in self._cache:
                return self._cache[key]
        record = self._records.load(key)
        if record is None and (file := self._locate(key)) is not None:
            document = self._sidecars.document(self.path(file), f"TrainJob/{key}")
            record = recover(document) if document is not None else None
            if record is not None:
                record = record.model_copy(update={"file": file})
                try:
                    self._records.save(record)
                except StateError:
                    # Whoever wants to act on it has to save it first, and will be told.
                    return record
        if record is not None:
            self._keep(record)
        return record

    def _keep(self, record: Record) -> None:
        """Remember it, unless it is over: nobody asks for those, and a thousand of them are megabytes."""
        with self._lock:
            if record.finished and record.cleaned:
                self._cache.pop(record.key, None)
            else:
                self._cache[record.key] = record

    def told(self, record: Record) -> bool:
        """Whether the sidecar is on disk, about this life of the job, and says how it ended."""
        path = self.path(record.file)
        document = self._sidecars.document(path, f"TrainJob/{record.key}")
        if document is None or document.get("metadata", {}).get("uid") != record.uid or not path.exists():
            return False
        # One that could not be written when the job ended (a full disk, then a kill) is older than the end.
        said = {c.get("type") for c in document["status"].get("conditions", ()) if c.get("status") == "True"}
        if not all(c.type in said for c in record.conditions if c.status == "True"):
            return False
        self._phase(record.key, document)
        return True

    def save(self, record: Record) -> None:
        """Write the record for good (StateError when the disk refuses)."""
        self._records.save(record)
        self._keep(record)

    def tell(self, record: Record, document: Mapping[str, Any], *, urgent: bool) -> None:
        """Show the status; a manifest that moved takes its sidecar along."""
        changed = self._phases.get(record.key) != document["status"]["phase"]
        self._put(record.file, document, urgent=urgent or changed)
        self._phase(record.key, document)

    def _put(self, file: str, document: Mapping[str, Any], *, urgent: bool) -> None:
        """Write an object's document beside its manifest, and nowhere else."""
        key, path = document_key(document), self.path(file)
        with self._lock:
            before = self._paths.get(key)
            self._paths[key] = path
        if before is not None and before != path:
            self._sidecars.drop(before, key)
        self._sidecars.put(path, key, document, manifest=Path(file), urgent=urgent)

    def moved(self, record: Record) -> None:
        """The manifest is elsewhere from now on: the sidecar beside the old place goes first.

        One left behind would be taken for the status of the next job that is written there.
        """
        name, path = f"TrainJob/{record.key}", self.path(record.file)
        with self._lock:
            told = self._paths.pop(name, path)
        for place in {path, told}:
            self._sidecars.drop(place, name)

    def tell_invalid(self, kind: str, key: str, file: str, faults: Sequence[Fault]) -> None:
        """Show that a manifest cannot be used."""
        namespace, _, name = key.partition("/")
        document = invalid(kind, namespace, name, faults, now=self._clock())
        known = self._sidecars.document(self.path(file), document_key(document))
        status = known["status"] if known is not None else {}
        if status.get("phase") == "Invalid" and status.get("errors") == document["status"]["errors"]:
            document = {**document, "status": status}  # with the time of its first telling
        self._put(file, document, urgent=True)
        if kind == "TrainJob":
            self._phase(key, document)

    def amend(self, key: str, file: str, message: str) -> None:
        """Say what is amiss in the status as it stands; a job without one is Pending."""
        if not file:
            return
        namespace, _, name = key.partition("/")
        path = self.path(file)
        known = self._sidecars.document(path, f"TrainJob/{key}")
        document = known or waiting("TrainJob", namespace, name)
        changed = {**document, "status": {**document["status"], "message": message}}
        self._put(file, changed, urgent=True)
        self._phase(key, changed)

    def forget(self, record: Record) -> None:
        """The job is gone: sidecar first, so that a crash in between is repeated, not forgotten."""
        self.drop_sidecar("TrainJob", record.key, record.file)
        self._records.delete(record.key)
        with self._lock:
            self._cache.pop(record.key, None)
            self._phases.pop(record.key, None)

    def drop_sidecar(self, kind: str, key: str, file: str) -> None:
        """Take an object out of its sidecar."""
        name = f"{kind}/{key}"
        with self._lock:
            path = self._paths.pop(name, None)
            self._phases.pop(key, None)
        if path is None and file:
            path = self.path(file)
        if path is not None:
            self._sidecars.drop(path, name)

    def drop_orphans(self) -> None:
        """Remove sidecars of manifests that went while no daemon ran, but where a record still names them.

        Those go with their job; a job that has moved is told of beside its manifest, and nowhere else.
        """
        records = [record for key in self.keys() if (record := self.load(key)) is not None]
        for path in orphaned_sidecars(specs=self._specs, status_dir=self._status_dir):
            keep = {f"TrainJob/{r.key}" for r in records if r.file and self.path(r.file) == path}
            self._sidecars.retain(path, keep)

    def phase(self, key: str) -> str:
        """The phase last told; "" for a job not yet told of."""
        with self._lock:
            return self._phases.get(key, "")

    def unfinished(self) -> set[str]:
        """Keys of the jobs that have been worked on and have not ended."""
        with self._lock:
            return {key for key, record in self._cache.items() if not record.finished}

    def keys(self) -> list[str]:
        """Keys of every record there is."""
        return list(self._records.keys())

    def _phase(self, key: str, document: Mapping[str, Any]) -> None:
        phase = document["status"].get("phase", "")
        with self._lock:
            changed = self._phases.get(key) != phase
            self._phases[key] = phase
        if changed:
            self._on_phase(key, document)
