"""The check of a doctor that runs in a container: files for jobs must be where the engine looks for them.

The engine outside is given paths of the state folder to mount, and takes them for its host's. What can be
seen from inside: that the engine's socket is mounted from outside, and which folder of which file system lies
at a path. Where that file system itself is mounted on the host is not seen, so only the end of a path is
compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconciler.cli.doctor.check import Check, fail, ok
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings

_SOCKETS: Final = ("docker.sock", "podman.sock")
_REMEDY: Final = "Mount the host's folder at its own path (-v DIR:DIR), and name it with --state-dir."


@dataclass(frozen=True)
class _Mount:
    """A line of mountinfo: the folder ``root`` of some file system lies at ``point``."""

    root: str
    point: Path


def state_mount_checks(settings: Settings, machine: Machine) -> Iterator[Check]:
    """Checks nothing, unless the engine's socket is mounted from outside."""
    if not is_engine_outside(machine):
        return
    name, state = "folder for jobs' files", settings.state_dir.absolute()
    mount = max(
        (mount for mount in _list_mounts(machine) if state.is_relative_to(mount.point)),
        key=lambda mount: len(mount.point.parts),
        default=None,
    )
    if mount is None or mount.point == Path("/"):
        yield fail(name, f"{state} is this container's own; the engine outside cannot mount it", _REMEDY)
        return
    # btrfs names the subvolume first: /@home/me is /home/me.
    root = re.sub(r"^/@[^/]*", "", mount.root).rstrip("/")
    outside = f"{root}/{state.relative_to(mount.point)}".removesuffix("/.")
    if str(state).endswith(outside):
        yield ok(name, f"{state} is the host's")
    else:
        yield fail(
            name, f"{state} is {outside} outside; the engine looks for the path that it is given", _REMEDY
        )


def is_engine_outside(machine: Machine) -> bool:
    """Whether an engine's socket is mounted into this container; its programs are elsewhere then."""
    return any(mount.point.name in _SOCKETS for mount in _list_mounts(machine))


def _list_mounts(machine: Machine) -> Iterator[_Mount]:
    """See proc(5): root and mount point are the fourth and fifth word, blanks in octal."""
    for line in (machine.read("proc/self/mountinfo") or "").splitlines():
        words = [word.replace("\\040", " ") for word in line.split()]
        if len(words) > 4:
            yield _Mount(root=words[3], point=Path(words[4]))
