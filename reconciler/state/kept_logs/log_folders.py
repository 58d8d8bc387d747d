"""Whose log folder is it: ``<log_dir>/<namespace>/<job>`` belongs to one object, by its uid.

A job that is deleted and made again is another object of the same name, and must never be shown the other's
logs. So the folder has a marker, ``.object.json``: the uids of the objects whose logs are in it (several
after reruns, which count their attempts on). When an object goes, its folder is renamed to
``<job>.<first 8 of its uid>``; when another object's folder is found where a new one's should be (a crash
before the renaming, two daemons with one ``--log-dir``), it is renamed then.

What can go wrong: folders of earlier versions have no marker. What was last written before the object was
created is moved aside as another's, the rest is taken as its own.
"""

from __future__ import annotations

import errno
import json
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.errors import StateError
from reconciler.state.atomic_files import read_if_exists, write_atomically
from reconciler.state.kept_logs.log_paths import (
    LOG_SUFFIX,
    LogLocation,
    attempt_log_folder,
    former_log_folder,
    job_log_folder,
    log_file,
)

MARKER: Final = ".object.json"
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
#: Seconds by which a file's time may lag behind the clock of the daemon that created the object.
CLOCK_SLACK: Final = 1.0
#: Names that objects and namespaces can have; any other is no job's.
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class FolderOwner:
    """What a marker says.

    Attributes:
        uids: of the objects whose logs these are, the latest last.
        deleted_at: when the last of them was deleted, seconds since the epoch; None while it is there.
    """

    uids: tuple[str, ...]
    deleted_at: float | None = None


def log_path_of(location: LogLocation, log_dir: Path) -> Path:
    """Returns the file of a container's log, in the folder of the object that the container is of."""
    folder = owned_folder(job_log_folder(log_dir, location.namespace, location.job), location.uid)
    return log_file(attempt_log_folder(folder, location.attempt), location.container)


def owned_folder(folder: Path, uid: str) -> Path:
    """Returns where an object's logs are: the folder of its name, or what that was renamed to for another.

    Args:
        folder: of the object's name.
        uid: of the object; "" if it is not known: then a folder that is known to be somebody's is not its.
    """
    owner, former = read_owner(folder), former_log_folder(folder, uid)
    if owner is None:
        return former if uid and not folder.is_dir() and former.is_dir() else folder
    return folder if uid in owner.uids else former


def prepare_folder(location: LogLocation, log_dir: Path) -> Path:
    """Creates the folder of a container's log, for this user only, marked as its object's; returns it.

    Raises:
        OSError: it cannot be created; a link stands in its place.
        StateError: its marker cannot be written.
    """
    job_folder = job_log_folder(log_dir, location.namespace, location.job)
    if location.current and (owner := read_owner(job_folder)) and location.uid not in owner.uids:
        _rename_away(job_folder, owner.uids[-1])
    folder = log_path_of(location, log_dir).parent
    _make_folders(folder, log_dir)
    if location.uid and read_owner(folder.parent) is None:
        _write_owner(folder.parent, FolderOwner(uids=(location.uid,)))
    return folder


def claim_folder(
    log_dir: Path, namespace: str, job: str, uid: str, *, created_at: float, continues: str
) -> None:
    """Makes the folder of a name an object's own, where there is one; to be called before anything is logged.

    Args:
        log_dir: folder of all kept logs.
        namespace: of the object.
        job: its name.
        uid: its uid.
        created_at: when it was created, seconds since the epoch.
        continues: uid of the object that it was made anew from, and whose attempts it counts on; "" if none.

    Raises:
        OSError: another object's folder cannot be renamed.
        StateError: the marker cannot be written.
    """
    folder = job_log_folder(log_dir, namespace, job)
    if folder.is_symlink():
        return
    if not folder.is_dir():
        _take_back(folder, uid)
        return
    owner = read_owner(folder)
    if owner is None:
        if not continues:
            _move_older_attempts(folder, created_at)
        _write_owner(folder, FolderOwner(uids=(continues, uid) if continues else (uid,)))
    elif uid in owner.uids:
        return
    elif continues in owner.uids:
        _write_owner(folder, FolderOwner(uids=(*owner.uids, uid)))
    else:
        _rename_away(folder, owner.uids[-1])


def retire_folder(log_dir: Path, namespace: str, job: str, uid: str, *, now: float) -> None:
    """Renames the folder of an object that is deleted; one that is another object's stays.

    Args:
        log_dir: folder of all kept logs.
        namespace: of the object.
        job: its name.
        uid: its uid; "" if it is not known: the one that the folder names.
        now: seconds since the epoch.

    Raises:
        OSError: it cannot be renamed; it will be when the next object of the name comes.
        StateError: its marker cannot be written.
    """
    folder = job_log_folder(log_dir, namespace, job)
    owner = read_owner(folder)
    uids = owner.uids if owner is not None else (uid,) if uid else (secrets.token_hex(4),)
    if uid and uid not in uids:
        folder, uids = former_log_folder(folder, uid), (uid,)
    if folder.is_symlink() or not folder.is_dir():
        return
    _write_owner(folder, FolderOwner(uids=uids, deleted_at=now))
    if folder.name == job:
        _rename_away(folder, uid or uids[-1])


def find_former_folders(log_dir: Path, job: str, namespace: str | None) -> list[tuple[str, Path]]:
    """Returns the log folders of deleted objects of a name, each with its namespace; the newest first.

    Args:
        log_dir: folder of all kept logs.
        job: name of the objects.
        namespace: of the objects; None: any.
    """
    if not _NAME.fullmatch(job) or (namespace is not None and not _NAME.fullmatch(namespace)):
        return []
    spaces = [log_dir / namespace] if namespace is not None else _folders(log_dir)
    found: list[tuple[float, str, Path]] = []
    for space in spaces:
        for folder in _folders(space):
            name, dot, _ = folder.name.rpartition(".")
            if folder.name == job or (dot and name == job):
                found.append((_deleted_at(folder), space.name, folder))
    return [(space, folder) for _, space, folder in sorted(found, reverse=True)]


def read_owner(folder: Path) -> FolderOwner | None:
    """Returns whose a folder is; None where no marker says so (an earlier version's, or no folder)."""
    try:
        data = read_if_exists(folder / MARKER)
        raw: Any = json.loads(data) if data is not None else None
    except (StateError, ValueError, RecursionError):
        return None
    uids = raw.get("uids") if isinstance(raw, dict) else None
    if not isinstance(uids, list) or not uids or not all(isinstance(u, str) and u for u in uids):
        return None
    deleted = raw.get("deletedAt")
    known = isinstance(deleted, (int, float)) and not isinstance(deleted, bool)
    return FolderOwner(uids=tuple(uids), deleted_at=float(deleted) if known else None)


def _write_owner(folder: Path, owner: FolderOwner) -> None:
    raw: dict[str, Any] = {"uids": list(owner.uids)}
    if owner.deleted_at is not None:
        raw["deletedAt"] = owner.deleted_at
    write_atomically(folder / MARKER, json.dumps(raw).encode() + b"\n", mode=FILE_MODE, durable=False)


def _take_back(folder: Path, uid: str) -> None:
    """Gives an object's folder its first name again, where it made room for another object that has gone."""
    former = former_log_folder(folder, uid)
    owner = read_owner(former)
    if owner is not None and uid in owner.uids and not former.is_symlink():
        former.rename(folder)
        _write_owner(folder, FolderOwner(uids=owner.uids))


def _rename_away(folder: Path, uid: str) -> None:
    """Renames the folder of another, or a gone, object; where that name is taken, its attempts go there."""
    target = former_log_folder(folder, uid)
    if not target.exists():
        folder.rename(target)
        return
    for entry in list(folder.iterdir()):
        place = target / entry.name
        if entry.name == MARKER:
            entry.replace(place)
        elif entry.is_dir() and place.is_dir():
            for file in list(entry.iterdir()):
                file.rename(_free_name(place / file.name))
            entry.rmdir()
        else:
            entry.rename(_free_name(place))
    folder.rmdir()


def _move_older_attempts(folder: Path, created_at: float) -> None:
    """Moves attempts last written before the object was created out of a folder without a marker."""
    older = [
        attempt
        for attempt in _folders(folder)
        if attempt.name.isdecimal() and 0 < _last_written(attempt) < created_at - CLOCK_SLACK
    ]
    if not older:
        return
    target = former_log_folder(folder, secrets.token_hex(4))
    target.mkdir(mode=FOLDER_MODE)
    for attempt in older:
        attempt.rename(target / attempt.name)


def _last_written(folder: Path) -> float:
    """When a log in the folder was last written, seconds since the epoch; 0 where there is none."""
    times = [path.lstat().st_mtime for path in folder.iterdir() if path.suffix == LOG_SUFFIX]
    return max(times, default=0.0)


def _deleted_at(folder: Path) -> float:
    owner = read_owner(folder)
    if owner is not None and owner.deleted_at is not None:
        return owner.deleted_at
    with suppress(OSError):
        return max((_last_written(attempt) for attempt in _folders(folder)), default=0.0)
    return 0.0


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(entry for entry in parent.iterdir() if entry.is_dir() and not entry.is_symlink())
    except OSError:
        return []


def _free_name(path: Path) -> Path:
    candidate, number = path, 1
    while candidate.exists():
        candidate, number = path.with_name(f"{path.stem}.{number}{path.suffix}"), number + 1
    return candidate


def _make_folders(folder: Path, log_dir: Path) -> None:
    """Creates ``folder`` and its parents down from ``log_dir``, for this user only."""
    missing = [path for path in (folder, *folder.parents) if path == log_dir or log_dir in path.parents]
    log_dir.parent.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        with suppress(FileExistsError):
            path.mkdir(mode=FOLDER_MODE)
        if path != log_dir and path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link, where a folder of logs should be", str(path))
