"""Makes a listening socket in another process's network namespace and hands it out.

Run as a program, by path. A socket belongs to the namespace that it was made in, wherever its descriptor
goes. Only a process with one thread may enter a user namespace, so this is one of its own that lives some
hundredths of a second; it needs nothing but the standard library. What can go wrong is told through the
socket, as ``errno text``.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
#: Linux' option to listen at an address that comes up later (a bridge without containers).
IP_FREEBIND = 15
IPV6_FREEBIND = 78
BACKLOG = 64


def main(channel: socket.socket, process: str, address: str, port: int) -> None:
    """Enter, listen, hand out."""
    try:
        _enter(process)
        # The one that this replaces may not be closed yet; only sockets of the same user may share.
        with listening(address, port, early=True, shared=True) as made:
            socket.send_fds(channel, [b"0"], [made.fileno()])
    except OSError as error:
        channel.send(f"{error.errno or 1} {error.strerror or error}".encode())


def _enter(process: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    # Both are opened first: as an ordinary user of the outside.
    wanted = []
    for name, kind in (("user", CLONE_NEWUSER), ("net", CLONE_NEWNET)):
        space = os.open(f"/proc/{process}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC)
        if os.fstat(space).st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:  # noqa: PTH116  (no more imports)
            wanted.append((space, kind))
    for space, kind in wanted:
        if libc.setns(space, kind) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def listening(address: str, port: int, *, early: bool, shared: bool = False) -> socket.socket:
    """A socket that listens.

    Args:
        address: an IP address.
        port: 0: any.
        early: also where the host does not have the address yet (Linux).
        shared: also beside another socket of the same user.

    Raises:
        OSError: it cannot be had.
    """
    sixth = ":" in address
    made = socket.socket(socket.AF_INET6 if sixth else socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if early and sixth:
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        elif early:
            made.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        made.bind((address, port))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


if __name__ == "__main__":
    _descriptor, _process, _address, _port = sys.argv[1:]
    main(socket.socket(fileno=int(_descriptor)), _process, _address, int(_port))
