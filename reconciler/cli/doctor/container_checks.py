"""Check of ``reconciler doctor`` in a container: files for jobs must be where the engine looks.

The engine outside is told to mount paths of the state folder, and takes them for its host's. What can be seen
from inside: that the engine's socket is mounted from outside, and which folder of which file system lies at a
path. Where that file system itself is mounted on the host is not seen, so only the end of a path is compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from reconciler.cli.doctor.check import Check, Machine

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

_SOCKETS: Final = ("docker.sock", "podman.sock")
_REMEDY: Final = "Mount the host's folder at its own path (-v DIR:DIR), and name it with --state-dir."


@dataclass(frozen=True)
class _Mount:
    """A line of mountinfo: the folder ``root`` of some file system lies at ``point``."""

    root: str
    point: Path


def container_checks(settings: Settings, machine: Machine) -> Iterator[Check]:
    """Nothing, unless the engine's socket is mounted from outside."""
    if not engine_is_outside(machine):
        return
    mounts = _all_mounts(machine)
    state = settings.state_dir.absolute()
    under = max(
        (mount for mount in mounts if state.is_relative_to(mount.point)),
        key=lambda mount: len(mount.point.parts),
        default=None,
    )
    name = "folder for jobs' files"
    if under is None or under.point == Path("/"):
        yield Check(
            name=name,
            status="fail",
            detail=f"{state} is this container's own; the engine outside cannot mount it",
            remedy=_REMEDY,
        )
        return
    # btrfs names the subvolume first: /@home/me is /home/me.
    root = re.sub(r"^/@[^/]*", "", under.root).rstrip("/")
    outside = f"{root}/{state.relative_to(under.point)}".removesuffix("/.")
    if str(state).endswith(outside):
        yield Check(name=name, status="ok", detail=f"{state} is the host's")
    else:
        detail = f"{state} is {outside} outside; the engine looks for the path that it is told"
        yield Check(name=name, status="fail", detail=detail, remedy=_REMEDY)


def engine_is_outside(machine: Machine) -> bool:
    """Whether an engine's socket is mounted into this container; its programs are elsewhere then."""
    return any(mount.point.name in _SOCKETS for mount in _all_mounts(machine))


def _all_mounts(machine: Machine) -> list[_Mount]:
    return list(_mounts(machine.text("proc/self/mountinfo") or ""))


def _mounts(text: str) -> Iterator[_Mount]:
    """See proc(5): root and mount point are the fourth and fifth word, blanks in octal."""
    for line in text.splitlines():
        words = [word.replace("\\040", " ") for word in line.split()]
        if len(words) > 4:
            yield _Mount(root=words[3], point=Path(words[4]))
