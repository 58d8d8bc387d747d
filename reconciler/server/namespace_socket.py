"""Opens a listening socket in another process's network namespace and sends its descriptor back.

Run as a program, by path. A socket belongs to the namespace that it was made in, wherever its descriptor
goes. Only a process with one thread may enter a user namespace, so this is one of its own that lives some
hundredths of a second; it needs nothing but the standard library. What goes wrong is sent instead, as
``errno text``.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
#: Linux's option to listen at an address that comes up later (a bridge without containers).
IP_FREEBIND = 15
IPV6_FREEBIND = 78
BACKLOG = 64


def main(channel: socket.socket, process: str, address: str, port: int) -> None:
    """Enters the namespaces of a process, listens, and sends the socket."""
    try:
        _enter(process)
        # The socket that this replaces may not be closed yet; only sockets of the same user may share a port.
        with open_listening_socket(address, port, freebind=True, reuse_port=True) as opened:
            socket.send_fds(channel, [b"0"], [opened.fileno()])
    except OSError as error:
        channel.send(f"{error.errno or 1} {error.strerror or error}".encode())


def _enter(process: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # Both are opened before either is entered: as the user that this process still is.
    namespaces = []
    for name, kind in (("user", CLONE_NEWUSER), ("net", CLONE_NEWNET)):
        namespace = os.open(f"/proc/{process}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        if os.fstat(namespace).st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:  # noqa: PTH116  (no more imports)
            namespaces.append((namespace, kind))
    for namespace, kind in namespaces:
        if libc.setns(namespace, kind) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def open_listening_socket(
    address: str, port: int, *, freebind: bool, reuse_port: bool = False
) -> socket.socket:
    """Returns a socket that listens.

    Args:
        address: an IP address.
        port: 0: any.
        freebind: also where the host does not have the address yet (Linux).
        reuse_port: also beside another such socket of the same user.

    Raises:
        OSError: it cannot be opened.
    """
    is_ipv6 = ":" in address
    # asyncio sets TCP_NODELAY where the protocol is given: an answer in two parts would take 40 ms without.
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if freebind and is_ipv6:
            opened.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        elif freebind:
            opened.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        opened.bind((address, port))
        opened.listen(BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


if __name__ == "__main__":
    _descriptor, _process, _address, _port = sys.argv[1:]
    main(socket.socket(fileno=int(_descriptor)), _process, _address, int(_port))
