"""Who made the unix socket that one connects to; only the kernel of the same host tells.

What can go wrong: nobody listens, or the kernel has no such word (it is Linux' own): then nobody is known.
"""

from __future__ import annotations

import socket
import struct
from typing import Final

_CREDENTIALS: Final = struct.Struct("3i")


def listener_of(address: str, *, timeout: float) -> tuple[int, int] | None:
    """Process and user that listen at a socket; None where the kernel does not tell.

    Args:
        address: a path, or an abstract name (with a NUL before it).
        timeout: seconds to be taken up.
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
