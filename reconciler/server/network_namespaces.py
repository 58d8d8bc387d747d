"""Listeners in a network namespace that this process is not in, and what is known of that namespace.

Rootless Podman keeps the networks of a user in a namespace of their own. Nothing outside it has their
gateways, but a socket that was made in it can be served from anywhere: no port of the host is opened, no
proxy runs. What can go wrong: the way in fails (said by :class:`ServingError` with what it printed); the
namespace is given up with the user's last container, and the next gets another: the socket is then deaf
without an error, which :func:`addresses_of` shows.
"""

from __future__ import annotations

import array
import errno
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

from reconciler.errors import ServingError
from reconciler.server import namespace_socket

#: Seconds for the way in, and as many for the socket.
PATIENCE: Final = 20.0
#: Says who it is, and stays until its input ends: what is in the namespace keeps it.
_STAY: Final = ("sh", "-c", "echo $$ && read -r _")
#: What an interpreter of an unusual place may need to start.
_OF_PYTHON: Final = ("LD_LIBRARY_PATH", "PATH")
_SIOCGIFCONF: Final = 0x8912
_MOST_INTERFACES: Final = 512


@dataclass(frozen=True, kw_only=True)
class Entrance:
    """The way into a namespace.

    Attributes:
        command: runs the command that follows it inside.
        environment: for it; nothing else of this process's.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]

    def __str__(self) -> str:
        return " ".join(self.command)


def listen_inside(entrance: Entrance, address: str, port: int) -> socket.socket:
    """A listening socket at an address of the namespace, also where the address comes up later.

    Raises:
        ServingError: nobody gets in, or the port is taken there.
    """
    deadline = time.monotonic() + PATIENCE
    with tempfile.TemporaryFile() as said:
        try:
            guide = subprocess.Popen(
                [*entrance.command, *_STAY],
                env=dict(entrance.environment),
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
            )
        except OSError as error:
            raise ServingError(f"`{entrance}` cannot be run: {error.strerror}.") from error
        try:
            process = _first_line(guide, deadline)
            if not process.isdigit():
                raise _no_way(entrance, said)
            return _handed_out(process, address, port, deadline)
        finally:
            _dismiss(guide)


def addresses_of(opened: socket.socket) -> frozenset[str]:
    """The IPv4 addresses that are up in the namespace of a socket; empty where nobody can tell."""
    if sys.platform != "linux":
        return frozenset()
    import fcntl  # noqa: PLC0415  (not everywhere)

    # struct ifreq: a name of 16 bytes, then a sockaddr_in in a union whose size goes by the pointer's.
    size = 16 + 8 + 2 * struct.calcsize("P")
    room = array.array("B", bytes(size * _MOST_INTERFACES))
    asked = struct.pack("iP", len(room), room.buffer_info()[0])
    try:
        length, _ = struct.unpack("iP", fcntl.ioctl(opened.fileno(), _SIOCGIFCONF, asked))
    except (OSError, ValueError):
        return frozenset()
    raw = room.tobytes()
    return frozenset(socket.inet_ntoa(raw[at + 20 : at + 24]) for at in range(0, length, size))


def _first_line(guide: subprocess.Popen[bytes], deadline: float) -> str:
    """What the guide prints first; "" when it ends or says nothing in time."""
    output = guide.stdout
    if output is None:
        return ""
    line = b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while not line.endswith(b"\n") and selector.select(max(0.0, deadline - time.monotonic())):
            got = os.read(output.fileno(), 64)
            if not got:
                break
            line += got
    return line.decode(errors="replace").strip()


def _handed_out(process: str, address: str, port: int, deadline: float) -> socket.socket:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        arguments = (str(theirs.fileno()), process, address, str(port))
        helper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(namespace_socket.__file__)), *arguments],
            pass_fds=[theirs.fileno()],
            env={name: os.environ[name] for name in _OF_PYTHON if name in os.environ},
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
            raise ServingError(f"Nothing could be opened at {address}: {error}.") from error
        finally:
            _end(helper)
    if not descriptors:
        raise _refused(address, port, answer.decode(errors="replace"))
    made = socket.socket(fileno=descriptors[0])
    made.set_inheritable(False)
    made.setblocking(False)
    return made


def _refused(address: str, port: int, answer: str) -> ServingError:
    number, _, text = answer.partition(" ")
    if number == str(errno.EADDRINUSE):
        return ServingError(
            f"Port {port} at {address} is taken by another program.",
            remedy=f"See which with `podman unshare --rootless-netns ss -ltnp 'sport = :{port}'`.",
            taken=True,
        )
    return ServingError(f"Nothing could be opened at {address}: {text or 'the helper ended early'}.")


def _no_way(entrance: Entrance, said: IO[bytes]) -> ServingError:
    said.seek(0)
    lines = said.read().decode(errors="replace").strip().splitlines()
    why = lines[-1].removeprefix("Error: ")[:300] if lines else "it said nothing"
    return ServingError(
        f"`{entrance}` fails: {why}.", remedy=f"Try `{entrance} true`, and mend what it says."
    )


def _dismiss(guide: subprocess.Popen[bytes]) -> None:
    for pipe in (guide.stdin, guide.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    _end(guide, group=True)


def _end(process: subprocess.Popen[bytes], *, group: bool = False) -> None:
    """Wait for what ends by itself; kill what does not."""
    try:
        process.wait(2.0)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
        process.wait()
