"""Keeps a checked host path from being replaced between the check and its use by the engine.

An engine takes a path, and resolves it when the container starts, a quarter of a second after the check.
Whoever may rename in a folder above it (another job that has that folder writable) could put a link there
meanwhile. So where this process may, it does as the kubelet does: it opens the path without following a
single link, compares device and inode with what was checked, and bind mounts the open file below the state
folder. The engine is given that mount, which is removed when the container has started, because the container
keeps its own.

What remains: without root, or where the engine sees other mounts than this process (rootless Podman, a daemon
in a container, ``PrivateMounts=`` in its unit), the engine is given the resolved path, opened and compared
right before the create and again before the start. Between that and the engine's own look-up lie milliseconds
in which somebody who may write in a folder above the path could still put a link. There the engine has no
more rights on the host than the user has, or no folder in common with this process.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from reconciler.errors import PolicyDenied, StateError

_MS_BIND: Final = 0x1000
_MS_REC: Final = 0x4000
_MS_PRIVATE: Final = 0x40000
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8


def open_pinned(path: str, identity: tuple[int, int]) -> int:
    """Opens a resolved path (O_PATH) without following links; returns the descriptor.

    Args:
        path: with every link resolved.
        identity: device and inode that it had when it was checked.

    Raises:
        PolicyDenied: the path is something else now.
    """
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.split("/"):
            if part:
                child = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = child
        found = os.fstat(fd)
    except OSError as error:
        os.close(fd)
        raise _changed(path) from error
    if stat.S_ISLNK(found.st_mode) or (found.st_dev, found.st_ino) != identity:
        os.close(fd)
        raise _changed(path)
    return fd


def _changed(path: str) -> PolicyDenied:
    return PolicyDenied(
        f"{path} has changed between the policy's check and its use.",
        remedy="Somebody renames or links there; the job is checked again.",
    )


def create_path(path: str, *, folder: bool) -> None:
    """Creates a missing folder (or empty file) at a resolved path, and its parents, without following links.

    Raises:
        PolicyDenied: a part of the path has become a link, or no folder.
        OSError: the host refuses.
    """
    parts = [part for part in path.split("/") if part]
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for position, part in enumerate(parts):
            if position == len(parts) - 1 and not folder:
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                os.close(os.open(part, flags, 0o644, dir_fd=fd))
                return
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=fd)
            try:
                child = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            except NotADirectoryError as error:
                raise _changed(path) from error
            os.close(fd)
            fd = child
    finally:
        os.close(fd)


class BindMount:
    """A bind mount of an open path that only this user can reach, for the time until a container has started.

    Args:
        fd: the open path; the caller closes it.
        target: an absolute path below the state folder; created here, and removed by :meth:`release`.

    Raises:
        StateError: the mount failed.
    """

    def __init__(self, fd: int, target: Path) -> None:
        self.target = target
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            target.mkdir(mode=0o700) if is_folder else target.touch(mode=0o600, exist_ok=False)
            _mount(f"/proc/self/fd/{fd}", str(target), _MS_BIND | _MS_REC)
            # Else unmounting it would also unmount what is mounted below the original.
            _mount("", str(target), _MS_REC | _MS_PRIVATE)
        except OSError as error:
            self.release()
            raise StateError(f"Cannot pin a hostPath at {target}: {error.strerror}.") from error

    def release(self) -> None:
        """Unmounts and removes the target; removes only an empty folder or file, never what was mounted."""
        with suppress(OSError):
            _unmount(str(self.target))
        with suppress(OSError):
            if self.target.is_dir():
                self.target.rmdir()
            elif self.target.stat().st_size == 0 and not os.path.ismount(self.target):
                self.target.unlink()


def unmount_leftovers(folder: Path) -> None:
    """Unmounts what a killed daemon left below the folder."""
    with suppress(OSError):
        for target in sorted(folder.iterdir()):
            with suppress(OSError):
                _mount("", str(target), _MS_REC | _MS_PRIVATE)
                _unmount(str(target))
            with suppress(OSError):
                target.rmdir()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)


def _mount(source: str, target: str, flags: int) -> None:
    if _libc().mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def _unmount(target: str) -> None:
    if _libc().umount2(target.encode(), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)
