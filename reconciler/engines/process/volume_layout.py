"""Decides for each of a container's volumes: mounted at its path, or its path rewritten.

With a mount namespace a volume is mounted at the path that the manifest names. Without, or where that path
would have to be created in a folder of the user's, the path is rewritten to the volume's folder in command,
environment and working directory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reconciler.common.host_looks import LOOKS, UnansweredError
from reconciler.engines.specs import ContainerSpec, Mount
from reconciler.errors import EngineError, StartFailed

#: Folders that may be replaced by a tmpfs copy: what a program creates directly in them is lost at its end,
#: as in a container, and nobody keeps work directly in them.
_SYSTEM_FOLDERS: Final = frozenset(
    {
        "/",
        "/etc",
        "/home",
        "/media",
        "/mnt",
        "/opt",
        "/run",
        "/srv",
        "/usr",
        "/usr/local",
        "/usr/share",
        "/var",
        "/var/lib",
    }
)
_MAX_ENTRIES: Final = 1000


@dataclass(kw_only=True)
class VolumeLayout:
    """How a container reaches its volumes.

    Attributes:
        cwd: its working directory, as its processes see it.
        mounts: for ``mount_namespace.enter``, outer ones first.
        paths: for the rewriter: path in the specification to path on this machine.
    """

    cwd: str
    mounts: list[dict[str, Any]] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)


def build_layout(
    spec: ContainerSpec, *, home: Path, build: Path, can_mount: bool, find_volume: Callable[[str], Path]
) -> VolumeLayout:
    """Lays out every mount and the working directory.

    Args:
        spec: of the container.
        home: the container's final folder.
        build: where that folder is now.
        can_mount: the container has a mount namespace.
        find_volume: returns the folder of a named volume; raises NotFound.

    Raises:
        StartFailed: a source does not exist, or a path is not absolute.
        NotFound: a volume does not exist.
    """
    (build / "work").mkdir()
    layout = VolumeLayout(cwd=str(home / "work"))
    mounts = sorted(spec.mounts, key=_depth)
    if spec.working_dir:
        targets = [_normalize(m.target) for m in mounts]
        _set_cwd(layout, _normalize(spec.working_dir), targets=targets, home=home, can_mount=can_mount)
    for number, mount in enumerate(mounts):
        target = _normalize(mount.target)
        source = _find_source(mount, find_volume)
        if can_mount and _is_mountable(target, home, _targets(layout)):
            layout.mounts.append(mount_entry(source, target, read_only=mount.read_only, size=mount.size))
            continue
        if source is None:
            (build / f"tmpfs-{number}").mkdir()
            source = home / f"tmpfs-{number}"
        _rewrite(layout, target, source, build=build)
    return layout


def find_rewritten(spec: ContainerSpec, *, home: Path, can_mount: bool) -> list[Mount]:
    """Returns the mounts whose paths are rewritten, outer ones first."""
    if not can_mount:
        return [mount for mount in spec.mounts if mount.source != mount.target]
    placed: list[str] = []
    result = []
    for mount in sorted(spec.mounts, key=_depth):
        target = _normalize(mount.target)
        if _is_mountable(target, home, placed):
            placed.append(target)
        else:
            result.append(mount)
    return result


def _depth(mount: Mount) -> int:
    return _normalize(mount.target).rstrip("/").count("/")


def _targets(layout: VolumeLayout) -> list[str]:
    return [mount["target"] for mount in layout.mounts]


def _is_mountable(target: str, home: Path, placed: list[str]) -> bool:
    return not _hides_needed(target, home) and _has_mount_point(target, placed)


def _rewrite(layout: VolumeLayout, target: str, source: Path, *, build: Path) -> None:
    layout.paths[target] = str(source)
    inside = layout.paths.get(layout.cwd) or layout.cwd
    if target.startswith(f"{layout.cwd}/") and Path(inside).name == "work":
        link = build / "work" / Path(target).relative_to(layout.cwd)  # for relative paths
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)


def _normalize(path: str) -> str:
    if not path.startswith("/"):
        raise StartFailed(f"The path {path!r} is not absolute.", remedy="Begin it with '/'.")
    return os.path.normpath("/" + path.lstrip("/"))


def mount_entry(
    source: Path | None, target: str, *, read_only: bool = False, size: int | None = None
) -> dict[str, Any]:
    """Returns a mount for ``mount_namespace.enter``; a tmpfs where there is no source."""
    return {
        "kind": "bind" if source is not None else "tmpfs",
        "source": str(source or "tmpfs"),
        "target": target,
        "read_only": read_only,
        "size": size,
    }


def _find_source(mount: Mount, find_volume: Callable[[str], Path]) -> Path | None:
    """Returns the folder or file to mount; None for a tmpfs."""
    if mount.kind == "tmpfs":
        return None
    if mount.kind == "volume":
        return _find_existing_source(mount, find_volume)
    try:
        return LOOKS.run(mount.source, lambda _: _find_existing_source(mount, find_volume))
    except UnansweredError as error:
        raise EngineError(f"{mount.source!r} cannot be mounted for now: {error.strerror}.") from None


def _find_existing_source(mount: Mount, find_volume: Callable[[str], Path]) -> Path:
    top = find_volume(mount.source) if mount.kind == "volume" else Path(mount.source)
    if not top.is_absolute() or not top.exists():
        raise StartFailed(
            f"{mount.source!r}, to be mounted at {mount.target}, does not exist on this machine.",
            remedy="Create it, or correct the volume's path.",
        )
    if not mount.sub_path:
        return top
    source = Path(os.path.normpath(top / mount.sub_path))
    if not source.is_relative_to(top) or not source.resolve().is_relative_to(top.resolve()):
        raise StartFailed(f"The subPath {mount.sub_path!r} of {mount.target} leads out of its volume.")
    if not source.exists():
        source.mkdir(parents=True)  # as the kubelet does
    return source


def _hides_needed(target: str, home: Path) -> bool:
    """Whether a mount there would hide the interpreter or the container's own folder."""
    needed = (home, Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix), Path("/bin/sh"))
    return any(path.is_relative_to(target) for path in (*needed, *(p.resolve() for p in needed)))


def _has_mount_point(target: str, placed: list[str]) -> bool:
    """Whether the mount point exists, or can be created without changing the host or losing anything."""
    if Path(target).exists() or any(target.startswith(f"{outer.rstrip('/')}/") for outer in placed):
        return True
    ancestor = Path(target).parent
    while not ancestor.exists():
        ancestor = ancestor.parent
    if not ancestor.is_dir() or not os.access(ancestor, os.R_OK | os.X_OK):
        return False
    if len(os.listdir(ancestor)) > _MAX_ENTRIES:  # noqa: PTH208  (counted, not walked)
        return False
    return str(ancestor) in _SYSTEM_FOLDERS or not os.access(ancestor, os.W_OK)


def _set_cwd(layout: VolumeLayout, folder: str, *, targets: list[str], home: Path, can_mount: bool) -> None:
    """Sets the working directory; one that does not exist is an empty folder, as in an image."""
    layout.cwd = folder
    if (
        any(folder == top or folder.startswith(f"{top.rstrip('/')}/") for top in targets)
        or Path(folder).is_dir()
    ):
        return
    if can_mount and _has_mount_point(folder, _targets(layout)):
        layout.mounts.append(mount_entry(home / "work", folder))
    else:
        layout.paths[folder] = str(home / "work")
