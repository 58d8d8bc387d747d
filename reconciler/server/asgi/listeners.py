"""Sockets that listen, and the addresses at which they cannot.

What can go wrong: the address is taken or is not this host's; :class:`ListenError` says so to the caller.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.errors import ListenError
from reconciler.server.namespace_socket import open_listening_socket

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: Makes a listening socket that does not block, at an address and port; raises :class:`ListenError`.
SocketFactory = Callable[[str, int], socket.socket]


@dataclass(eq=False)
class Listener:
    """One open listener."""

    address: str
    port: int
    app: ASGIApp
    tls: ssl.SSLContext | None
    socket: socket.socket
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def close(self) -> None:
        """Stops accepting; for the loop's thread."""
        if self.task is not None:
            # Closes the socket when it is done: the loop still waits for this descriptor, and must not take
            # the next socket that gets its number for it.
            self.task.cancel()
        else:
            self.socket.close()


def open_host_socket(address: str, port: int, *, freebind: bool) -> socket.socket:
    """Returns a listening socket at an address of this host.

    Raises:
        ListenError: the address is every address, is taken or is not this host's.
    """
    if ipaddress.ip_address(address).is_unspecified:
        raise ListenError(f"{address} is every address of this host.", remedy="Name one of them.")
    try:
        opened = open_listening_socket(address, port, freebind=freebind)
    except OSError as error:
        raise _listen_error(address, port, error) from error
    opened.setblocking(False)
    return opened


def _listen_error(address: str, port: int, error: OSError) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        message = f"Port {port} at {address} is taken by another program."
        return ListenError(message, remedy=f"See which with `ss -ltnp 'sport = :{port}'`.", taken=True)
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(f"{address} is no address of this host.")
    return ListenError(f"Cannot listen at {address} port {port}: {error.strerror}.")
