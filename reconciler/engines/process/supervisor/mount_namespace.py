"""A mount namespace of its own for one container, without privileges where the kernel allows it.

The calling process (already forked, about to exec) moves into new mount and host name namespaces, inside a
new user namespace unless it is root, keeps its user id, and sees the volumes at the paths that the manifest
names. Nothing is created on the host: a missing mount point directly under a system folder is created in a
tmpfs copy of that folder, whose other entries stay the host's own.

What can go wrong: a kernel or a security module that refuses any of this (``OSError``); the engine tries it
once (the supervisor's mode ``probe``) and otherwise rewrites paths instead.
"""

from __future__ import annotations

import ctypes
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER = 0x00020000, 0x04000000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 1, 32, 4096, 16384, 1 << 19
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
#: Mount flags that a user namespace may not remove: kept when a mount is made read-only. All but the last are
#: the same bits in statvfs.
_KEPT = 2 | 4 | 8 | 1024 | 2048
_ST_RELATIME, _MS_RELATIME = 4096, 1 << 21
_OLD = "/.reconciler-host"
#: ``pivot_root`` has no wrapper in libc; its number by ``os.uname().machine`` (asm-generic otherwise).
_PIVOT_ROOT = {"x86_64": 155, "i686": 217, "armv7l": 218, "ppc64le": 203, "s390x": 217}

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def prctl(option: int, value: int) -> None:
    """Calls ``prctl(2)`` with one number.

    Raises:
        OSError: the kernel refuses.
    """
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def _mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(result, f"mount {target}")


def enter(view: dict[str, Any]) -> None:
    """Moves this process into a mount namespace of its own.

    Args:
        view: ``root`` (an empty folder to build on), ``hostname``, ``mounts``: a list of ``kind``
            (``bind`` or ``tmpfs``), ``source``, ``target``, ``read_only``, ``size``, outer ones first.

    Raises:
        OSError: the kernel refuses, or a source or a mount point cannot be used.
    """
    _unshare()
    _mount("none", "/", flags=MS_REC | MS_SLAVE)
    if view["hostname"]:
        name = view["hostname"].encode()
        _check(_libc.sethostname(name, ctypes.c_size_t(len(name))), "sethostname")
    mounts = view["mounts"]
    # Held open before anything is mounted: a mount may hide the source of a later one.
    sources = [os.open(m["source"], os.O_PATH) if m["kind"] == "bind" else -1 for m in mounts]
    private: set[str] = set()
    pivoted = any(not os.path.lexists("/" + m["target"].strip("/").split("/")[0]) for m in mounts)
    if pivoted:
        _pivot(view["root"])
        private.add("/")
    for mount, source in zip(mounts, sources, strict=True):
        _apply_mount(mount, source, private)
    if pivoted:
        os.chdir("/")
        _check(_libc.umount2(_OLD.encode(), MNT_DETACH), "umount of the host's root")
        os.rmdir(_OLD)
    for source in sources:
        if source >= 0:
            os.close(source)


def _unshare() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and _libc.unshare(CLONE_NEWNS | CLONE_NEWUTS) == 0:
        return
    _check(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS), "unshare")
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{file}", "w", encoding="ascii") as out:
            out.write(text)


def _pivot(root: str) -> None:
    """Makes a tmpfs copy of ``/`` the root; the host's stays reachable at ``_OLD`` until the end."""
    _mount("tmpfs", root, "tmpfs", data="mode=755")
    _mirror("/", root)
    os.mkdir(root + _OLD)
    number = _PIVOT_ROOT.get(os.uname().machine, 41)
    _check(_libc.syscall(number, os.fsencode(root), os.fsencode(root + _OLD)), "pivot_root")
    os.chdir("/")


def _mirror(folder: str, copy: str) -> None:
    """Reproduces every entry of ``folder`` in ``copy``: links are copied, all else is bind-mounted."""
    for entry in os.scandir(folder):
        target = f"{copy}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir():
            os.mkdir(target)
            _mount(entry.path, target, flags=MS_BIND | MS_REC)
        elif not entry.name.startswith("."):  # hidden files in / are marks of container tools
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
            _mount(entry.path, target, flags=MS_BIND)


def _apply_mount(mount: dict[str, Any], source: int, private: set[str]) -> None:
    target = mount["target"]
    bind = mount["kind"] == "bind"
    origin = f"/proc/self/fd/{source}"
    folder = not bind or stat.S_ISDIR(os.stat(origin).st_mode)
    if not os.path.exists(target):
        _create_mount_point(target, private, folder=folder)
    if bind:
        _mount(origin, target, flags=MS_BIND | MS_REC)
    else:
        size = f",size={mount['size']}" if mount["size"] else ""
        _mount("tmpfs", target, "tmpfs", data=f"mode=1777{size}")
    if mount["read_only"]:
        flags = os.statvfs(target).f_flag
        kept = flags & _KEPT | (_MS_RELATIME if flags & _ST_RELATIME else 0)
        _mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | kept)
    private.add(target.rstrip("/"))


def _create_mount_point(target: str, private: set[str], *, folder: bool) -> None:
    """Creates the mount point, in a tmpfs copy of its parent folder where that is the host's."""
    parent = os.path.dirname(target.rstrip("/"))
    if not os.path.isdir(parent):
        _create_mount_point(parent, private, folder=True)
    if not _is_private(parent, private):
        _cover(parent)
        private.add(parent)
    if folder:
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def _is_private(path: str, private: set[str]) -> bool:
    """Whether ``path`` is in a mount of this container or in a tmpfs copy, not in the host's file system."""
    if path in private or any(path.startswith(f"{top}/") for top in private - {"/"}):
        return True
    return "/" in private and os.stat(path).st_dev == os.stat("/").st_dev


def _cover(folder: str) -> None:
    """Mounts a tmpfs copy of ``folder`` over it."""
    before = os.open(folder, os.O_PATH)
    mode = stat.S_IMODE(os.stat(folder).st_mode)
    _mount("tmpfs", folder, "tmpfs", data=f"mode={mode:o}")
    _mirror(f"/proc/self/fd/{before}", folder)
    os.close(before)


def join(pid: int) -> None:
    """Moves this process into the namespaces of process ``pid``.

    Raises:
        OSError: it has ended, or the kernel refuses.
    """
    for kind in ("user", "uts", "mnt"):
        path = f"/proc/{pid}/ns/{kind}"
        if os.stat(path).st_ino == os.stat(f"/proc/self/ns/{kind}").st_ino:
            continue
        fd = os.open(path, os.O_RDONLY)
        try:
            _check(_libc.setns(fd, 0), f"setns {kind}")
        finally:
            os.close(fd)
