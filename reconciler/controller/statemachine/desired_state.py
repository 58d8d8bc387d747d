"""What a job's key asks for now, by manifest and record: apply, delete, reject, or leave it alone. Pure.

A manifest that is not there is no reason to remove its job: only a folder that could be read, and has not
just changed in a way that looks half-done, is taken at its word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from reconciler.api.faults import Fault
from reconciler.controller.statemachine.acceptance import DesiredJob
from reconciler.names import API_GROUP
from reconciler.state.record import Record

if TYPE_CHECKING:
    from reconciler.config.settings import Settings
    from reconciler.sources.folder.catalog import Catalog, JobEntry

#: Whether a TrainJob (the raw document) is this daemon's to run.
JobFilter = Callable[[Mapping[str, Any]], bool]

#: Upstream's own name for itself in ``spec.managedBy``; any other value: the job is left to others.
MANAGER: Final = f"{API_GROUP}/trainjob-controller"


@dataclass(frozen=True, kw_only=True)
class Apply:
    """The job is to become what its manifest says; its status shows what is wrong with the manifest."""

    desired: DesiredJob
    faults: Sequence[Fault] = ()


@dataclass(frozen=True)
class Delete:
    """The manifest was removed: everything the job has goes."""


@dataclass(frozen=True, kw_only=True)
class Reject:
    """The manifest cannot be used, and never could."""

    file: str
    faults: Sequence[Fault]


def resolve_desired_state(
    key: str,
    catalog: Catalog,
    record: Record | None,
    *,
    settings: Settings,
    is_selected: JobFilter,
    policy_digest: Callable[[], str],
) -> Apply | Delete | Reject | None:
    """Returns what is to be done about the job ``namespace/name``; None: it is left as it is."""
    entry = catalog.jobs.get(key)
    if entry is None:
        return _without_manifest(key, catalog, record, settings=settings, is_selected=is_selected)
    job = entry.document.raw if entry.document is not None else record.job if record is not None else None
    if not is_selected(job or (entry.candidate.raw if entry.candidate is not None else {})):
        return None
    if not job:
        waiting = entry.waiting_for_runtime and not entry.rejections
        if not waiting or entry.candidate is None:
            return Reject(file=entry.file, faults=entry.errors)
        job = entry.candidate.raw
    if not _is_managed(job):
        return None
    desired = DesiredJob(
        namespace=entry.namespace,
        name=entry.name,
        job=job,
        runtime=_runtime(catalog, entry),
        file=entry.file,
        update_policy=settings.update_policy,
        policy_digest=policy_digest(),
    )
    return Apply(desired=desired, faults=entry.errors)


def _without_manifest(
    key: str, catalog: Catalog, record: Record | None, *, settings: Settings, is_selected: JobFilter
) -> Apply | Delete | None:
    if key in catalog.removed_by_name:
        return Delete()
    if record is None:
        # What has no record goes, too, but only where the folder can be read.
        return Delete() if catalog.state == "ok" and not catalog.unprunable_paths else None
    if may_delete(catalog, key, record.file, settings):
        return Delete()
    if not record.job or not is_selected(record.job):
        # Recovered from a sidecar, and no manifest to read: its containers go on as they are.
        return None
    # What was accepted last: the manifest cannot be read now.
    desired = DesiredJob(
        namespace=record.namespace, name=record.name, job=record.job, runtime=None, file=record.file
    )
    return Apply(desired=desired, faults=catalog.file_faults.get(record.file, ()))


def may_delete(catalog: Catalog, key: str, file: str, settings: Settings) -> bool:
    """Whether a job without manifest, last read from this file, was removed for good."""
    if key in catalog.removed_by_name:
        return True
    return catalog.can_prune(file) or (settings.allow_empty and catalog.state == "empty")


def managed_jobs(catalog: Catalog) -> list[str]:
    """Returns the keys of the folder's jobs that no other controller manages."""
    return [
        key
        for key, entry in catalog.jobs.items()
        if entry.document is None or _is_managed(entry.document.raw)
    ]


def referenced_objects_changed(old: Catalog, new: Catalog) -> bool:
    """Whether runtimes, Secrets or ConfigMaps differ, which any job may refer to."""
    return (
        new.runtimes != old.runtimes
        or new.fallback_runtimes != old.fallback_runtimes
        or new.secrets != old.secrets
        or new.configmaps != old.configmaps
    )


def _is_managed(job: Mapping[str, Any]) -> bool:
    return bool((job.get("spec") or {}).get("managedBy", MANAGER) == MANAGER)


def _runtime(catalog: Catalog, entry: JobEntry) -> Mapping[str, Any] | None:
    document = entry.document or entry.candidate
    runtime = catalog.runtime_for(document) if document is not None else None
    return runtime.raw if runtime is not None else None
