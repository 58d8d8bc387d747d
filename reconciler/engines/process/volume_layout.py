"""Where a container's volumes are on this machine, and how its command gets to see them.

With a view of its own (``isolating``) a volume is mounted at the path the manifest names. Without, or where
that path would have to be created in a folder of the user's, the path is rewritten to the volume's folder
in command, environment and working directory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reconciler.engines.specs import ContainerSpec, Mount
from reconciler.errors import StartFailed

#: Folders that may be shown as a copy in memory: what a program creates directly in them is lost at its
#: end, as in a container, and nobody keeps work directly in them.
_SYSTEM: Final = frozenset(
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
_MOST_ENTRIES: Final = 1000


@dataclass(kw_only=True)
class Layout:
    """What became of a container's mounts.

    Attributes:
        cwd: its working directory, as it sees it.
        mounts: for ``isolating.enter``, outer ones first.
        paths: for the rewriter: path in the manifest to path on this machine.
    """

    cwd: str
    mounts: list[dict[str, Any]] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)


def lay_out(
    spec: ContainerSpec, *, home: Path, build: Path, isolated: bool, volume: Callable[[str], Path]
) -> Layout:
    """Find a place for every mount and the working directory.

    Args:
        spec: of the container.
        home: its folder, as it will be named.
        build: where that folder is now.
        isolated: whether it can have a view of its own.
        volume: the folder of a named volume; raises NotFound.

    Raises:
        StartFailed: a source does not exist, or a path is not absolute.
        NotFound: a volume does not exist.
    """
    (build / "work").mkdir()
    layout = Layout(cwd=str(home / "work"))
    mounts = sorted(spec.mounts, key=_depth)
    if spec.working_dir:
        targets = [_normal(m.target) for m in mounts]
        _set_folder(layout, _normal(spec.working_dir), targets=targets, home=home, isolated=isolated)
    for number, mount in enumerate(mounts):
        target = _normal(mount.target)
        source = _source(mount, volume)
        if isolated and _mountable(target, home, _targets(layout)):
            layout.mounts.append(_entry(source, target, read_only=mount.read_only, size=mount.size))
            continue
        if source is None:
            (build / f"tmpfs-{number}").mkdir()
            source = home / f"tmpfs-{number}"
        _rewrite(layout, target, source, build=build)
    return layout


def replaced(spec: ContainerSpec, *, home: Path, isolated: bool) -> list[Mount]:
    """The mounts whose paths would be rewritten, outer ones first."""
    if not isolated:
        return [mount for mount in spec.mounts if mount.source != mount.target]
    placed: list[str] = []
    result = []
    for mount in sorted(spec.mounts, key=_depth):
        target = _normal(mount.target)
        if _mountable(target, home, placed):
            placed.append(target)
        else:
            result.append(mount)
    return result


def _depth(mount: Mount) -> int:
    return _normal(mount.target).rstrip("/").count("/")


def _targets(layout: Layout) -> list[str]:
    return [mount["target"] for mount in layout.mounts]


def _mountable(target: str, home: Path, placed: list[str]) -> bool:
    return not _hides(target, home) and _placeable(target, placed)


def _rewrite(layout: Layout, target: str, source: Path, *, build: Path) -> None:
    layout.paths[target] = str(source)
    inside = layout.paths.get(layout.cwd) or layout.cwd
    if target.startswith(f"{layout.cwd}/") and Path(inside).name == "work":
        link = build / "work" / Path(target).relative_to(layout.cwd)  # for relative paths
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)


def _normal(path: str) -> str:
    if not path.startswith("/"):
        raise StartFailed(f"The path {path!r} is not absolute.", remedy="Begin it with '/'.")
    return os.path.normpath("/" + path.lstrip("/"))


def _entry(source: Path | None, target: str, *, read_only: bool, size: int | None) -> dict[str, Any]:
    return {
        "kind": "bind" if source is not None else "tmpfs",
        "source": str(source or "tmpfs"),
        "target": target,
        "read_only": read_only,
        "size": size,
    }


def _source(mount: Mount, volume: Callable[[str], Path]) -> Path | None:
    """The folder or file to show; None for a tmpfs."""
    if mount.kind == "tmpfs":
        return None
    top = volume(mount.source) if mount.kind == "volume" else Path(mount.source)
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


def _hides(target: str, home: Path) -> bool:
    """Whether a mount there would hide the interpreter, or the container's own folder."""
    needed = (home, Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix), Path("/bin/sh"))
    return any(path.is_relative_to(target) for path in (*needed, *(p.resolve() for p in needed)))


def _placeable(target: str, placed: list[str]) -> bool:
    """Whether the mount point is there or can be shown without losing anything or touching the host."""
    if Path(target).exists() or any(target.startswith(f"{outer.rstrip('/')}/") for outer in placed):
        return True
    ancestor = Path(target).parent
    while not ancestor.exists():
        ancestor = ancestor.parent
    if not ancestor.is_dir() or not os.access(ancestor, os.R_OK | os.X_OK):
        return False
    if len(os.listdir(ancestor)) > _MOST_ENTRIES:  # noqa: PTH208  (counted, not walked)
        return False
    return str(ancestor) in _SYSTEM or not os.access(ancestor, os.W_OK)


def _set_folder(layout: Layout, folder: str, *, targets: list[str], home: Path, isolated: bool) -> None:
    """Let the command begin in ``folder``; one that is nowhere is the container's own, as in an image."""
    layout.cwd = folder
    if (
        any(folder == top or folder.startswith(f"{top.rstrip('/')}/") for top in targets)
        or Path(folder).is_dir()
    ):
        return
    if isolated and _placeable(folder, _targets(layout)):
        layout.mounts.append(_entry(home / "work", folder, read_only=False, size=None))
    else:
        layout.paths[folder] = str(home / "work")
