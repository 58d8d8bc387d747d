"""Listening sockets in a network namespace that this process is not in, and the addresses of that namespace.

Rootless Podman keeps the networks of a user in a namespace of their own. Nothing outside it has their
gateways, but a socket that was made in it can be served from anywhere: no port of the host is opened, no
proxy runs. What can go wrong: the namespace cannot be entered (:class:`ListenError` has what the command
printed); it is removed with the user's last container, and the next container gets another: the socket then
receives nothing, without an error, which :func:`interface_addresses` shows.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from reconciler.errors import ListenError
from reconciler.server import namespace_socket

#: Seconds until the socket is there.
OPEN_TIMEOUT: Final = 20.0
EXIT_TIMEOUT: Final = 2.0
#: Prints its process id and stays until its input ends: a process inside keeps the namespace.
_HOLDER: Final = ("sh", "-c", "echo $$ && read -r _")
#: What an interpreter of an unusual place may need to start.
_PYTHON_VARIABLES: Final = ("LD_LIBRARY_PATH", "PATH")
_SIOCGIFCONF: Final = 0x8912
_MAX_INTERFACES: Final = 512


@dataclass(frozen=True, kw_only=True)
class NamespaceEntry:
    """How a network namespace is entered.

    Attributes:
        command: runs the command that follows it inside.
        environment: of that command; it gets nothing else of this process's.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]

    def __str__(self) -> str:
        return " ".join(self.command)


def open_socket_inside(entry: NamespaceEntry, address: str, port: int) -> socket.socket:
    """Returns a listening socket at an address of the namespace, also where the address comes up later.

    Raises:
        ListenError: the namespace cannot be entered, or the port is taken there.
    """
    deadline = time.monotonic() + OPEN_TIMEOUT
    with tempfile.TemporaryFile() as errors:
        try:
            holder = subprocess.Popen(
                [*entry.command, *_HOLDER],
                env=dict(entry.environment),
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            raise ListenError(f"`{entry}` cannot be run: {error.strerror}.") from error
        try:
            pid = _read_line(holder.stdout, deadline)
            if not pid.isdigit():
                raise _entry_error(entry, errors)
            return _receive_socket(pid, address, port, deadline)
        finally:
            _stop(holder)


def interface_addresses(opened: socket.socket) -> frozenset[str]:
    """Returns the IPv4 addresses that are up in the namespace of a socket; empty where they are not known."""
    # struct ifreq: a name of 16 bytes, then a sockaddr_in in a union whose size goes by the pointer's.
    size = 16 + 8 + 2 * struct.calcsize("P")
    buffer = array.array("B", bytes(size * _MAX_INTERFACES))
    request = struct.pack("iP", len(buffer), buffer.buffer_info()[0])
    try:
        length, _ = struct.unpack("iP", fcntl.ioctl(opened.fileno(), _SIOCGIFCONF, request))
    except (OSError, ValueError):
        return frozenset()
    raw = buffer.tobytes()
    return frozenset(socket.inet_ntoa(raw[at + 20 : at + 24]) for at in range(0, length, size))


def _read_line(output: IO[bytes] | None, deadline: float) -> str:
    """Returns the first line of a process's output; "" when it ends or prints nothing in time."""
    if output is None:
        return ""
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while not line.endswith(b"\n") and selector.select(max(0.0, deadline - time.monotonic())):
            data = os.read(output.fileno(), 64)
            if not data:
                break
            line += data
    return line.decode(errors="replace").strip()


def _receive_socket(pid: str, address: str, port: int, deadline: float) -> socket.socket:
    """Has :mod:`.namespace_socket` open the socket in the namespaces of a process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        arguments = (str(theirs.fileno()), pid, address, str(port))
        helper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(namespace_socket.__file__)), *arguments],
            pass_fds=[theirs.fileno()],
            env={name: os.environ[name] for name in _PYTHON_VARIABLES if name in os.environ},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        try:
            ours.settimeout(max(0.1, deadline - time.monotonic()))
            answer, descriptors, _, _ = socket.recv_fds(ours, 1024, 1)
        except OSError as error:
            raise ListenError(f"Nothing could be opened at {address}: {error}.") from error
        finally:
            _wait_or_kill(helper)
    if not descriptors:
        raise _listen_error(address, port, answer.decode(errors="replace"))
    opened = socket.socket(fileno=descriptors[0])
    opened.set_inheritable(False)
    opened.setblocking(False)
    return opened


def _listen_error(address: str, port: int, answer: str) -> ListenError:
    number, _, text = answer.partition(" ")
    if number == str(errno.EADDRINUSE):
        return ListenError(
            f"Port {port} at {address} is taken by another program.",
            remedy=f"See which with `podman unshare --rootless-netns ss -ltnp 'sport = :{port}'`.",
            taken=True,
        )
    return ListenError(f"Nothing could be opened at {address}: {text or 'the helper ended early'}.")


def _entry_error(entry: NamespaceEntry, errors: IO[bytes]) -> ListenError:
    errors.seek(0)
    lines = errors.read().decode(errors="replace").strip().splitlines()
    reason = lines[-1].removeprefix("Error: ")[:300] if lines else "it printed nothing"
    return ListenError(f"`{entry}` fails: {reason}.", remedy=f"Try `{entry} true`, and mend what it says.")


def _stop(holder: subprocess.Popen[bytes]) -> None:
    for pipe in (holder.stdin, holder.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    _wait_or_kill(holder, group=True)


def _wait_or_kill(process: subprocess.Popen[bytes], *, group: bool = False) -> None:
    try:
        process.wait(EXIT_TIMEOUT)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
        process.wait()
