"""Holding on to a folder of the host between the look at it and its use by the engine.

An engine takes a path, and follows it when the container starts, a quarter of a second after it was checked.
Whoever may rename in a folder above it (another job that has that folder writable) could put a link there
meanwhile. So where this process may, it does as the kubelet does: it opens the path without following a
single link, compares what it has with what was judged, and binds the very thing to a place below the state
folder; the engine is given that place, and it goes again when the container has started, which keeps its own.

What is left: without root, or where the engine sees other mounts than this process (rootless Podman, a daemon
in a container, ``PrivateMounts=`` in its unit), the engine is given the resolved path, opened and compared
right before the create and again before the start. Between that and the engine's own look lie milliseconds in
which somebody who may write in a folder above the path could still put a link. There the engine has no more
rights on the host than the user has, or no folder in common with this process.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from reconciler.errors import PolicyRefused, StateError

_MS_BIND: Final = 0x1000
_MS_REC: Final = 0x4000
_MS_PRIVATE: Final = 0x40000
_MNT_DETACH: Final = 2
_UMOUNT_NOFOLLOW: Final = 8


def open_held(path: str, identity: tuple[int, int]) -> int:
    """A descriptor (O_PATH) of a resolved path, no link followed on the way.

    Raises:
        PolicyRefused: it is not what was judged any more.
    """
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in path.split("/"):
            if part:
                inner = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
                os.close(fd)
                fd = inner
        found = os.fstat(fd)
    except OSError as error:
        os.close(fd)
        raise _changed(path) from error
    if stat.S_ISLNK(found.st_mode) or (found.st_dev, found.st_ino) != identity:
        os.close(fd)
        raise _changed(path)
    return fd


def _changed(path: str) -> PolicyRefused:
    return PolicyRefused(
        f"{path} has changed between the policy's look at it and its use.",
        remedy="Somebody renames or links there; the job is judged anew.",
    )


def make_inside(path: str, *, folder: bool) -> None:
    """Make a missing folder (or empty file) at a resolved path, and those above it, through no link.

    Raises:
        PolicyRefused: something on the way is a link, or no folder, by now.
        OSError: the host refuses.
    """
    parts = [part for part in path.split("/") if part]
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for place, part in enumerate(parts):
            if place == len(parts) - 1 and not folder:
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                os.close(os.open(part, flags, 0o644, dir_fd=fd))
                return
            with suppress(FileExistsError):
                os.mkdir(part, 0o755, dir_fd=fd)
            try:
                inner = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            except NotADirectoryError as error:
                raise _changed(path) from error
            os.close(fd)
            fd = inner
    finally:
        os.close(fd)


class Binding:
    """A held thing, bound to a place that only this user sees, for as long as a container takes to start.

    Args:
        fd: of the thing; stays the caller's.
        place: an absolute path below the state folder; made here, and removed by :meth:`release`.

    Raises:
        StateError: it cannot be bound.
    """

    def __init__(self, fd: int, place: Path) -> None:
        self.place = place
        is_folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        try:
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place.mkdir(mode=0o700) if is_folder else place.touch(mode=0o600, exist_ok=False)
            _mount(f"/proc/self/fd/{fd}", str(place), _MS_BIND | _MS_REC)
            # Else taking it away would take what is mounted below it from the original, too.
            _mount("", str(place), _MS_REC | _MS_PRIVATE)
        except OSError as error:
            self.release()
            raise StateError(f"Cannot hold a hostPath at {place}: {error.strerror}.") from error

    def release(self) -> None:
        """Take it away. What was bound is never removed: only an empty folder or file is."""
        with suppress(OSError):
            _unmount(str(self.place))
        with suppress(OSError):
            if self.place.is_dir():
                self.place.rmdir()
            elif self.place.stat().st_size == 0 and not os.path.ismount(self.place):
                self.place.unlink()


def sweep(folder: Path) -> None:
    """Take away what a killed daemon left bound."""
    with suppress(OSError):
        for place in sorted(folder.iterdir()):
            with suppress(OSError):
                _mount("", str(place), _MS_REC | _MS_PRIVATE)
                _unmount(str(place))
            with suppress(OSError):
                place.rmdir()


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
