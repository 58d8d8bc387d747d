"""The process that listens at a unix socket, as the kernel of this host knows it.

What can go wrong: nobody listens, or the kernel has no such option (it is Linux's own): then the listener is
unknown.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

_CREDENTIALS: Final = struct.Struct("3i")


def find_listener(address: str, *, timeout: float) -> tuple[int, int] | None:
    """Returns process id and user id of the listener; None where they are unknown.

    Args:
        address: a path, or an abstract name (with a NUL before it).
        timeout: seconds for the connection.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except (OSError, AttributeError):
        return None
    process, user, _ = _CREDENTIALS.unpack(raw)
    return process, user
