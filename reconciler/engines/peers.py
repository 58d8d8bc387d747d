"""Who listens at an engine's socket, and whether it sees the mounts that this process makes."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

_CREDENTIALS: Final = struct.Struct("3i")


def shares_mounts(url: str) -> bool:
    """Whether the engine at a unix socket is in this process's mount namespace; False where unknown.

    The kernel tells who opened the socket: the engine, or systemd for it, which is in the same one.
    """
    if not url.startswith("unix://"):
        return False
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(url.removeprefix("unix://"))
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, user, _ = _CREDENTIALS.unpack(raw)
        if pid <= 0 or user != 0:
            return False
        return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")  # noqa: PTH115
    except (OSError, AttributeError):
        return False
