"""Checks of folders: manifests can be read, the rest can be written, and there is room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.cli.doctor.check import Check, fail, ok, warn
from reconciler.cli.job_lookup import read_snapshot
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings
from reconciler.errors import ReconcilerError
from reconciler.state.locks import daemon_lock_path, find_holder

GIB: Final = 1024**3
#: Bytes free below which a pull may fail, and below which it fails.
RECOMMENDED_SPACE: Final = 10 * GIB
REQUIRED_SPACE: Final = 1 * GIB


def folder_checks(settings: Settings, machine: Machine) -> Iterator[Check]:
    """Checks the folders of manifests, statuses, records and logs, and who works on the first."""
    yield _check_manifests(settings)
    yield _check_writable("status files", settings.status_dir or settings.specs, "--status-dir")
    yield _check_writable("records", settings.state_dir, "--state-dir")
    yield _check_writable("logs", settings.log_dir, "--log-dir")
    yield ok("daemon", find_holder(daemon_lock_path(settings)) or "none works on this folder now")
    yield check_space("disk for logs and records", settings.state_dir, machine)


def _check_manifests(settings: Settings) -> Check:
    name = "manifests"
    try:
        catalog = read_snapshot(settings).catalog
    except ReconcilerError as error:
        return fail(name, error.message, error.remedy)
    errors = sum(fault.severity == "error" for fault in catalog.faults)
    detail = f"{settings.specs}: {len(catalog.jobs)} jobs, {len(catalog.runtimes)} runtimes"
    if errors:
        return warn(name, f"{detail}, {errors} errors", f"reconciler validate {settings.specs}")
    if not catalog.jobs:
        return warn(name, detail, "Put a TrainJob there, or name another with --specs.")
    return ok(name, detail)


def _check_writable(content: str, path: Path, option: str) -> Check:
    """Checks that this user may make files in the folder, or make the folder."""
    name, existing = f"folder for {content}", _nearest_existing(path)
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        later = "" if existing == path.absolute() else " (made when needed)"
        return ok(name, f"{path}{later}")
    remedy = f"Let this user write there, or name another folder with {option}."
    return fail(name, f"{path}: {existing} cannot be written.", remedy)


def check_space(name: str, path: Path, machine: Machine) -> Check:
    """Checks that there is room on the disk that the path is, or will be, on."""
    existing = _nearest_existing(path)
    try:
        free = machine.disk_free(existing)
    except OSError as error:
        return warn(name, f"{existing}: {error.strerror}")
    detail = f"{free / GIB:.1f} GiB free at {existing}"
    if free < REQUIRED_SPACE:
        return fail(name, detail, "Free some space, or use another disk.")
    if free < RECOMMENDED_SPACE:
        return warn(name, detail, "Images and checkpoints may not fit.")
    return ok(name, detail)


def _nearest_existing(path: Path) -> Path:
    place = path.absolute()
    return next(each for each in (place, *place.parents) if each.exists())
