"""A program run as an ordinary user in mounts of its own, so that nothing of the machine is opened to that user.

Run by root as a script inside ``unshare --mount``: it lays what the user needs over what is closed to it, then
becomes the user and the program. ``/root`` keeps its permissions, ``/dev/net/tun`` too: all this is seen by the
program and its children alone, and gone with the last of them.

What can go wrong: a kernel or container that allows no mounts; the script then ends with the reason.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import stat
import sys
from pathlib import Path

MS_BIND = 4096
MS_REC = 16384
MS_SHARED = 1 << 20


def main() -> None:
    """``room.py ROOM COMMAND...``; ROOM is JSON: ``user``, ``env``, ``cwd``, ``binds``, ``visible``, ``nodes``."""
    room = json.loads(sys.argv[1])
    user = pwd.getpwnam(room["user"])
    # Rootless Podman gets later mounts only from a shared parent.
    _mount("none", "/", flags=MS_REC | MS_SHARED)
    for name, target in room.get("nodes", {}).items():
        _node(Path(room["devices"]), name, Path(target))
    for source, target in room.get("binds", ()):
        _mount(source, target, flags=MS_BIND | MS_REC)
    _show([Path(path) for path in room.get("visible", ())])
    os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.umask(0o022)
    os.chdir(room.get("cwd", "/"))
    os.execvpe(sys.argv[2], sys.argv[2:], room["env"])


def _node(folder: Path, name: str, target: Path) -> None:
    """A copy of a device that everybody may open, in the place of one that only root may."""
    found = target.stat()
    if stat.S_IMODE(found.st_mode) & 0o006 == 0o006:
        return
    if not os.path.ismount(folder):
        # Not a folder of a disk: that may be mounted without devices.
        folder.mkdir(exist_ok=True)
        _mount("tmpfs", folder, kind="tmpfs", data="mode=755")
    copy = folder / name
    os.mknod(copy, stat.S_IFCHR, found.st_rdev)
    copy.chmod(0o666)
    _mount(copy, target, flags=MS_BIND)


def _show(paths: list[Path]) -> None:
    """Let the user see these although a folder above is closed: an empty folder is laid over that one."""
    handles = {path: os.open(path, os.O_PATH) for path in paths}
    closed = {path: ancestor for path in paths if (ancestor := _closed(path)) is not None}
    for ancestor in sorted(set(closed.values())):
        _mount("tmpfs", ancestor, kind="tmpfs", data="mode=755")
    for path in closed:
        path.mkdir(parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{handles[path]}", path, flags=MS_BIND | MS_REC)
    for handle in handles.values():
        os.close(handle)


def _closed(path: Path) -> Path | None:
    """The topmost folder above (or the path itself) that others may not pass."""
    for each in (*reversed(path.parents), path):
        if not stat.S_IMODE(each.stat().st_mode) & 0o001:
            return each
    return None


def _mount(source: object, target: object, *, kind: str = "none", flags: int = 0, data: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.mount(
        os.fsencode(str(source)),
        os.fsencode(str(target)),
        kind.encode(),
        ctypes.c_ulong(flags),
        data.encode(),
    )
    if result != 0:
        error = ctypes.get_errno()
        sys.exit(f"cannot mount {source} at {target}: {os.strerror(error)}")


if __name__ == "__main__":
    main()
