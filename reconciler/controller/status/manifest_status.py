"""What is told besides the statuses of jobs: of manifests that are no TrainJob's, and of what is gone.

A runtime that is invalid and a file that does not parse have a sidecar of their own, while they last. What a
sidecar says of an object that neither a manifest nor a record knows goes: an earlier daemon has left it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from reconciler.api.faults import Fault
from reconciler.api.loading.templates import NOT_RENDERED
from reconciler.controller.status.state_store import FolderOutlet
from reconciler.errors import StateError
from reconciler.sources.folder.catalog import Catalog
from reconciler.sources.folder.manifest_files import KUSTOMIZATION
from reconciler.state.sidecar_writer import SidecarWriter

_log = structlog.get_logger(__name__)


class Telling:
    """See the module; called from one thread.

    Args:
        outlet: where statuses go.
        sidecars: the same, on the disk.
    """

    def __init__(self, outlet: FolderOutlet, sidecars: SidecarWriter) -> None:
        self._outlet = outlet
        self._sidecars = sidecars
        #: What the sidecar of each file may tell of.
        self._retained: dict[str, set[str]] = {}

    def tell_others(self, old: Catalog, now: Catalog) -> None:
        """Sidecars of what is no TrainJob: runtimes that are invalid, files that do not parse."""
        told = other_faults(old)
        faulty = other_faults(now)
        for (kind, key, file), faults in faulty.items():
            if told.get((kind, key, file)) != faults:
                self._outlet.tell_invalid(kind, key, file, faults)
                for fault in faults:
                    _log.error("manifest fault", fault=str(fault))
        for kind, key, file in told.keys() - faulty.keys():
            self._outlet.drop_sidecar(kind, key, file)
        for fault in now.faults:
            if fault.reason == NOT_RENDERED and fault.severity == "warning" and fault not in old.faults:
                _log.warning("not rendered", fault=str(fault))

    def tell_folder(self, old: Catalog, now: Catalog, recorded: set[str]) -> None:
        """A folder that lost everything: what runs goes on, and somebody should know why."""
        if recorded and now.state not in {"ok", old.state}:
            _log.warning(
                "the manifests are gone; nothing is removed",
                folder=now.state,
                jobs=len(recorded),
                remedy="Bring the manifests back; if it is meant, run with --allow-empty.",
            )

    def drop_departed(self, old: Catalog, now: Catalog, recorded: set[str]) -> None:
        """The statuses of jobs whose manifests went or moved, but for those that go with the job.

        What was never accepted has left nothing but its status; and the status goes where the manifest went,
        even from a place that no record tells of (it could not be written there).
        """
        for key, entry in old.jobs.items():
            successor = now.jobs.get(key)
            gone = successor is None and key not in recorded
            if gone or (successor is not None and successor.file != entry.file):
                self._outlet.drop_sidecar("TrainJob", key, entry.file)

    def retain(self, now: Catalog, recorded: set[str]) -> None:
        """Drop from sidecars what neither a manifest nor a record knows (of an earlier daemon, mostly)."""
        known: dict[str, set[str]] = {}
        for key, entry in now.jobs.items():
            known.setdefault(entry.file, set()).add(f"TrainJob/{key}")
        for kind, key, file in other_faults(now):
            known.setdefault(file, set()).add(f"{kind}/{key}")
        recorded = {f"TrainJob/{key}" for key in recorded}
        for file, keys in known.items():
            # A file that defines what it did defines nothing less.
            if file in now.doubtful or self._retained.get(file) == keys:
                continue
            self._sidecars.retain(self._outlet.path(file), keys | recorded)
            self._retained[file] = keys
        for file in self._retained.keys() - known.keys():
            del self._retained[file]


def log_phase(key: str, document: Mapping[str, Any]) -> None:
    """A job's phase has changed."""
    status = document["status"]
    namespace, _, name = key.partition("/")
    message = status.get("message", "")
    _log.info("phase", namespace=namespace, job=name, phase=status.get("phase"), message=message)


def log_unwritten(error: StateError) -> None:
    """A sidecar could not be written."""
    _log.error("status not written; trying again", reason=str(error))


def other_faults(catalog: Catalog) -> dict[tuple[str, str, str], tuple[Fault, ...]]:
    """Faults that no TrainJob's status shows: by kind, ``namespace/name`` and file."""
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
