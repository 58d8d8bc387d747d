"""Checks of ``reconciler doctor``: manifests can be read, the rest can be written, and there is room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.cli.doctor.check import Check, Machine

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

GIB: Final = 1024**3
#: Below this a pull fails soon; below the second it fails now (bytes).
SPACE_WANTED: Final = 10 * GIB
SPACE_NEEDED: Final = 1 * GIB


def folder_checks(settings: Settings, machine: Machine) -> Iterator[Check]:
    """Manifests can be read; status, records and logs can be written, and there is room."""
    yield _manifests(settings)
    for name, path in (
        ("status files", settings.status_dir or settings.specs),
        ("records", settings.state_dir),
        ("logs", settings.log_dir),
    ):
        yield _writable(name, path)
    yield _lock(settings)
    yield space_check("disk for logs and records", settings.state_dir, machine)


def _manifests(settings: Settings) -> Check:
    from reconciler.cli.job_lookup import take  # noqa: PLC0415
    from reconciler.errors import ReconcilerError  # noqa: PLC0415

    name = "manifests"
    try:
        catalog = take(settings).catalog
    except ReconcilerError as error:
        return Check(name=name, status="fail", detail=error.message, remedy=error.remedy)
    faults = [f for f in catalog.faults if f.severity == "error"]
    detail = f"{settings.specs}: {len(catalog.jobs)} jobs, {len(catalog.runtimes)} runtimes"
    if faults:
        remedy = f"reconciler validate {settings.specs}"
        return Check(name=name, status="warn", detail=f"{detail}, {len(faults)} errors", remedy=remedy)
    if not catalog.jobs:
        return Check(
            name=name,
            status="warn",
            detail=detail,
            remedy="Put a TrainJob there, or name another with --specs.",
        )
    return Check(name=name, status="ok", detail=detail)


def _writable(name: str, path: Path) -> Check:
    """Whether this user may make files in the folder, or make the folder."""
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    name = f"folder for {name}"
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        made = "" if place == path.absolute() else " (made when needed)"
        return Check(name=name, status="ok", detail=f"{path}{made}")
    option = {"folder for status files": "--status-dir", "folder for logs": "--log-dir"}.get(
        name, "--state-dir"
    )
    remedy = f"Let this user write there, or name another folder with {option}."
    return Check(name=name, status="fail", detail=f"{path}: {place} cannot be written.", remedy=remedy)


def _lock(settings: Settings) -> Check:
    """Who works on the folder; nobody is no fault."""
    from reconciler.state.atomic_files import FileLock  # noqa: PLC0415

    holder = FileLock(settings.state_dir / "locks" / f"{settings.instance}.lock").holder()
    return Check(name="daemon", status="ok", detail=holder or "none works on this folder now")


def space_check(name: str, path: Path, machine: Machine) -> Check:
    """Whether there is room on the disk that the path is, or will be, on."""
    place = path.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        free = machine.disk_free(place)
    except OSError as error:
        return Check(name=name, status="warn", detail=f"{place}: {error.strerror}")
    detail = f"{free / GIB:.1f} GiB free at {place}"
    if free < SPACE_NEEDED:
        return Check(name=name, status="fail", detail=detail, remedy="Free some space, or use another disk.")
    if free < SPACE_WANTED:
        return Check(name=name, status="warn", detail=detail, remedy="Images and checkpoints may not fit.")
    return Check(name=name, status="ok", detail=detail)
