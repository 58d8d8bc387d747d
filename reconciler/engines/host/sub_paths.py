"""Folders inside binds and volumes (``subPath``), as the kubelet makes them.

A sub-path is made when it is missing and must not lead out of its volume: a container could leave a symbolic
link in the volume that points anywhere on the host.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from reconciler.common.host_looks import LOOKS, UnansweredError
from reconciler.engines.specs import Mount
from reconciler.errors import EngineError, StartFailed


def prepare_sub_path(root: str, sub_path: str) -> str:
    """Returns the path of ``sub_path`` under ``root``; makes its folders where this process can see ``root``.

    Raises:
        StartFailed: it leads out of ``root``.
        EngineError: the file system of ``root`` does not answer.
    """
    parts = Path(sub_path).parts
    if Path(sub_path).is_absolute() or ".." in parts:
        raise StartFailed(
            f"The subPath {sub_path} leads out of its volume.", remedy="Use a relative path without `..`."
        )
    try:
        return LOOKS.run(root, lambda _: _prepare(root, sub_path, parts))
    except UnansweredError as error:
        raise EngineError(f"{root} cannot be mounted for now: {error.strerror}.") from None


def _prepare(root: str, sub_path: str, parts: tuple[str, ...]) -> str:
    base, path = Path(root), Path(root, sub_path)
    try:
        if not base.is_dir():
            return str(path)
    except OSError:
        return str(path)
    if not path.resolve().is_relative_to(base.resolve()):
        raise StartFailed(f"The subPath {sub_path} leads out of its volume {root} by a symbolic link.")
    _make_folders(base, parts)
    return str(path)


def _make_folders(root: Path, parts: tuple[str, ...]) -> None:
    """Makes missing folders with the mode and owner of the volume itself (the kubelet's rule)."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    root_stat = os.fstat(fd)
    try:
        for part in parts:
            made = True
            try:
                os.mkdir(part, 0o700, dir_fd=fd)
            except FileExistsError:
                made = False
            # Through no link: a container that has the volume may put one there at any moment.
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = inner
            if made:
                os.fchmod(fd, stat.S_IMODE(root_stat.st_mode))
                os.fchown(fd, root_stat.st_uid, root_stat.st_gid)
    except OSError:
        return  # the path is no folder, or not ours: the engine reports it
    finally:
        os.close(fd)


def volume_folder(volume: Mapping[str, Any]) -> str | None:
    """Returns a volume's folder where this process sees it and it is all of the volume; else None."""
    root = str(volume["Mountpoint"])
    return root if _is_visible(root) and not volume.get("Options") else None


def resolve_mount(mount: Mount, volume: Mapping[str, Any], *, supported: bool, since: str) -> Mount:
    """Returns the mount of a volume as the engine can do it.

    Args:
        mount: as specified.
        volume: the engine's inspect of it.
        supported: the engine mounts a ``sub_path`` itself; else a folder below the volume's is bind-mounted.
        since: the engine and first version that do.

    Raises:
        StartFailed: neither can be done, or the sub-path leads out of the volume.
    """
    if not mount.sub_path:
        return mount
    if supported:
        prepare_sub_path(volume["Mountpoint"], mount.sub_path)
        return mount
    folder = volume_folder(volume)
    if folder is None:
        engine, _, _ = since.partition(" ")
        raise StartFailed(
            f"This {engine} cannot mount the volume {mount.source} with a subPath ({mount.sub_path}).",
            remedy=f"Use {since} or later, or mount the whole volume.",
        )
    return replace(mount, kind="bind", source=folder)


def bind_source(mount: Mount) -> str:
    """Returns the host path of a bind, its ``sub_path`` prepared.

    Raises:
        StartFailed: the sub-path leads out of the bind.
    """
    return prepare_sub_path(mount.source, mount.sub_path) if mount.sub_path else mount.source


def _is_visible(root: str) -> bool:
    """Reports whether this process can look into a folder of the engine's host."""
    try:
        return LOOKS.run(root, lambda _: Path(root).is_dir())
    except OSError:
        return False


def make_world_writable(root: str) -> None:
    """Lets any user of a container write to a new volume, as a pod's emptyDir can be.

    Engines make volumes root's own with mode 755; a container that runs as another user could not use
    them. Where the folder is out of this process's sight or power (another host, Docker without root)
    it stays as the engine made it.
    """
    with contextlib.suppress(OSError):
        Path(root).chmod(0o777)
