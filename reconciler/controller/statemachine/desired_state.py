"""What a job's key asks for now, by manifest and record: to be brought about, removed, refused or left alone.

Pure. A manifest that is not there is no reason to remove its job: only a folder that could be read, and has
not just changed in a way that looks half-done, is taken at its word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.api.faults import Fault
from reconciler.config.settings import Settings
from reconciler.controller.statemachine.acceptance import Wanted
from reconciler.names import API_GROUP
from reconciler.sources.folder.catalog import Catalog, JobEntry
from reconciler.state.record import Record

#: Upstream's own name for itself in ``spec.managedBy``; any other value means hands off.
MANAGER: Final = f"{API_GROUP}/trainjob-controller"


@dataclass(frozen=True, kw_only=True)
class Go:
    """The job is to become what is wanted of it; its status shows what is wrong with its manifest."""

    wanted: Wanted
    faults: Sequence[Fault] = ()


@dataclass(frozen=True)
class Gone:
    """Its manifest was removed: so is all that the job has."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Its manifest cannot be used, and never could."""

    file: str
    faults: Sequence[Fault]


def verdict(
    key: str,
    catalog: Catalog,
    record: Record | None,
    *,
    settings: Settings,
    ours: Callable[[Mapping[str, Any]], bool],
    policy: Callable[[], str],
) -> Go | Gone | Refused | None:
    """What is to be done about a key.

    Args:
        key: ``namespace/name``.
        catalog: the folder as it was read last.
        record: of the job, if there is one.
        settings: as chosen by the user.
        ours: whether a TrainJob is to be run here.
        policy: the digest of the policy in force.

    Returns:
        None: nothing, it is to be left as it is.
    """
    entry = catalog.jobs.get(key)
    if entry is None:
        return _without_manifest(catalog, record, settings=settings, ours=ours)
    job = entry.document.raw if entry.document is not None else record.job if record is not None else None
    if not ours(job or (entry.candidate.raw if entry.candidate is not None else {})):
        return None
    if not job:
        waiting = entry.waiting_for_runtime and not entry.refused
        if not waiting or entry.candidate is None:
            return Refused(file=entry.file, faults=entry.errors)
        job = entry.candidate.raw
    if not _managed(job):
        return None
    wanted = Wanted(
        namespace=entry.namespace,
        name=entry.name,
        job=job,
        runtime=_runtime(catalog, entry),
        file=entry.file,
        update_policy=settings.update_policy,
        policy=policy(),
    )
    return Go(wanted=wanted, faults=entry.errors)


def _without_manifest(
    catalog: Catalog,
    record: Record | None,
    *,
    settings: Settings,
    ours: Callable[[Mapping[str, Any]], bool],
) -> Go | Gone | None:
    if record is None:
        # What has no record goes, too, but only from a folder that can be read.
        return Gone() if catalog.state == "ok" and not catalog.doubtful else None
    if may_delete(catalog, record.file, settings):
        return Gone()
    if not record.job or not ours(record.job):
        # Recovered from a sidecar, and no manifest to read: its containers go on as they are.
        return None
    return Go(wanted=from_record(record), faults=catalog.file_faults.get(record.file, ()))


def may_delete(catalog: Catalog, file: str, settings: Settings) -> bool:
    """Whether a job without manifest, last read from this file, was removed for good."""
    if catalog.may_prune(file):
        return True
    return settings.allow_empty and catalog.state == "empty"


def from_record(record: Record) -> Wanted:
    """What is wanted of a job whose manifest cannot be read now: what was accepted last."""
    return Wanted(
        namespace=record.namespace, name=record.name, job=record.job, runtime=None, file=record.file
    )


def managed(catalog: Catalog) -> list[str]:
    """Keys of the folder's jobs that nobody else is to manage."""
    return [
        key for key, entry in catalog.jobs.items() if entry.document is None or _managed(entry.document.raw)
    ]


def resources_changed(old: Catalog, now: Catalog) -> bool:
    """Whether anything is otherwise that jobs refer to."""
    return (
        now.runtimes != old.runtimes
        or now.builtin != old.builtin
        or now.secrets != old.secrets
        or now.configmaps != old.configmaps
    )


def _managed(job: Mapping[str, Any]) -> bool:
    return bool((job.get("spec") or {}).get("managedBy", MANAGER) == MANAGER)


def _runtime(catalog: Catalog, entry: JobEntry) -> Mapping[str, Any] | None:
    document = entry.document or entry.candidate
    runtime = catalog.runtime_for(document) if document is not None else None
    return runtime.raw if runtime is not None else None
