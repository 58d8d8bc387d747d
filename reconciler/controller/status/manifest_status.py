"""Writes the statuses of manifests that are no TrainJob's, and removes those of manifests that went.

A runtime that is invalid and a file that does not parse have a sidecar of their own, while they last. What
a sidecar says of an object that neither a manifest nor a record knows is removed: an earlier daemon left it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from reconciler.api.faults import NOT_RENDERED, STATUS_FILE, Fault
from reconciler.errors import StateError
from reconciler.sources.folder.catalog import Catalog
from reconciler.sources.folder.manifest_files import KUSTOMIZATION
from reconciler.state.state_store import StateStore

_log = structlog.get_logger(__name__)


class ManifestStatusWriter:
    """See the module; called from one thread."""

    def __init__(self, state_store: StateStore) -> None:
        self._state_store = state_store
        self._orphans_removed = False
        #: By file, the objects that its sidecar may have (``Kind/namespace/name``).
        self._retained: dict[str, set[str]] = {}

    def update(self, old: Catalog, new: Catalog) -> None:
        """Updates the statuses after the folder was read again."""
        recorded = set(self._state_store.keys())
        if recorded and new.state not in {"ok", old.state}:
            # What runs goes on; the log says why nothing is removed.
            _log.warning(
                "manifests missing",
                folder=new.state,
                jobs=len(recorded),
                remedy="Bring the manifests back; if it is meant, run with --allow-empty.",
            )
        self._remove_moved(old, new, recorded)
        self._write_faults(old, new)
        self._remove_unknown(new, recorded)
        if new.state == "ok" and not self._orphans_removed:
            self._state_store.remove_orphaned_sidecars()
            self._orphans_removed = True

    def _remove_moved(self, old: Catalog, new: Catalog, recorded: set[str]) -> None:
        """Removes the statuses of jobs whose manifests went or moved, except those that go with the job.

        A job that was never accepted has left nothing but its status; and the status goes where the manifest
        went, even from a place that no record names (it could not be written there).
        """
        for key, entry in old.jobs.items():
            successor = new.jobs.get(key)
            gone = successor is None and key not in recorded
            if gone or (successor is not None and successor.file != entry.file):
                self._state_store.remove_status("TrainJob", key, entry.file)

    def _write_faults(self, old: Catalog, new: Catalog) -> None:
        """Writes the statuses of runtimes that are invalid and of files that do not parse."""
        known, faulty = manifest_faults(old), manifest_faults(new)
        for (kind, key, file), faults in faulty.items():
            if known.get((kind, key, file)) != faults:
                self._state_store.write_invalid_status(kind, key, file, faults)
                for fault in (f for f in faults if f.reason != STATUS_FILE):
                    _log.error("manifest fault", fault=str(fault))
        shown = {file for _, _, file in faulty}
        for file in new.file_faults.keys() - shown:
            # A folder, or another thing that no status can stand beside.
            for fault in new.file_faults[file]:
                if fault.severity == "error" and fault not in old.file_faults.get(file, ()):
                    _log.error("manifest fault", fault=str(fault))
        for kind, key, file in known.keys() - faulty.keys():
            self._state_store.remove_status(kind, key, file)
        before = set(old.faults)
        for fault in new.faults:
            if fault in before:
                continue
            if fault.reason == NOT_RENDERED and fault.severity == "warning":
                _log.warning("manifest not rendered", fault=str(fault))
            if fault.reason == STATUS_FILE:
                # Also of a TrainJob, which has no status to say it.
                _log.error("manifest fault", fault=str(fault))

    def _remove_unknown(self, new: Catalog, recorded: set[str]) -> None:
        """Removes from sidecars what neither a manifest nor a record knows."""
        known: dict[str, set[str]] = {}
        for key, entry in new.jobs.items():
            known.setdefault(entry.file, set()).add(f"TrainJob/{key}")
        for kind, key, file in manifest_faults(new):
            known.setdefault(file, set()).add(f"{kind}/{key}")
        with_record = {f"TrainJob/{key}" for key in recorded}
        for file, keys in known.items():
            # A file that cannot be read now may still define what it did.
            if file in new.unprunable_paths or self._retained.get(file) == keys:
                continue
            self._state_store.retain_statuses(file, keys | with_record)
            self._retained[file] = keys
        for file in self._retained.keys() - known.keys():
            del self._retained[file]


def log_phase_change(key: str, document: Mapping[str, Any]) -> None:
    """Logs that a job's phase has changed."""
    status = document["status"]
    namespace, _, name = key.partition("/")
    message = status.get("message", "")
    _log.info("phase changed", namespace=namespace, job=name, phase=status.get("phase"), message=message)


def log_write_failure(error: StateError) -> None:
    """Logs that a sidecar could not be written, which is tried again."""
    _log.error("status write failed", reason=str(error))


def manifest_faults(catalog: Catalog) -> dict[tuple[str, str, str], tuple[Fault, ...]]:
    """Returns the errors that no TrainJob's status shows, by kind, ``namespace/name`` and file."""
    found: dict[tuple[str, str, str], tuple[Fault, ...]] = {}
    for document in catalog.documents:
        errors = tuple(f for f in document.faults if f.severity == "error")
        if errors and document.kind != "TrainJob":
            found[document.kind, f"{document.namespace}/{document.name}", document.file] = errors
    for file, faults in catalog.file_faults.items():
        errors = tuple(f for f in faults if f.severity == "error")
        if errors and (Path(file).suffix or Path(file).name == KUSTOMIZATION):
            found["Manifest", f"/{Path(file).name}", file] = errors
    return found
