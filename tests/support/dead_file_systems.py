"""A file system that never answers, as that of a dead NFS server: FUSE without anybody who serves it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

_MNT_DETACH = 2


@dataclass
class DeadFileSystem:
    """Mounted at ``path``; ``fd`` is where its requests would be answered."""

    path: Path
    fd: int
    mounted: bool = True

    def asked(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(select.select([self.fd], [], [], 0)[0])

    def end(self) -> None:
        """Every request fails from now on; whoever waits goes on."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def unmount(self) -> None:
        """The place is free; whoever waits, waits on."""
        if self.mounted:
            self.mounted = False
            _libc().umount2(os.fsencode(self.path), _MNT_DETACH)


@contextlib.contextmanager
def dead_file_system(path: Path) -> Iterator[DeadFileSystem]:
    """Mounts one; skips where this user may not. Nobody waits for it any more at the end."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    options = f"fd={fd},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()},allow_other"
    if _libc().mount(b"dead", os.fsencode(path), b"fuse", 0, options.encode()) != 0:
        number = ctypes.get_errno()
        os.close(fd)
        pytest.skip(f"no FUSE here: {os.strerror(number)}")
    made = DeadFileSystem(path, fd)
    try:
        yield made
    finally:
        made.unmount()
        made.end()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
