"""Sends the daemon's state to the service manager: the sd_notify protocol, as systemd documents it.

A datagram of ``NAME=value`` lines to the socket that ``NOTIFY_SOCKET`` names (``/path``, or ``@name`` for an
abstract one). Small enough to be written out: the libraries there are either need systemd's headers to be
built or were left years ago.

What can go wrong: nothing listens any more, or the manager is too busy to take a datagram: a daemon must not
hang or die of that, so sending never waits, and a failure is logged once. And a child process (a job's, ssh)
must not speak in this daemon's name: the variables are taken out of the environment.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from dataclasses import dataclass

import structlog

from reconciler.common.os_errors import reason_of

_log = structlog.get_logger(__name__)

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG = "WATCHDOG_USEC"
_WATCHDOG_PID = "WATCHDOG_PID"


@dataclass(kw_only=True)
class Notifier:
    """Sends to the service manager, where there is one; otherwise every method does nothing.

    Attributes:
        address: of the socket; "": there is no service manager.
        watchdog: seconds within which the manager expects each ping; None: it expects none.
    """

    address: str = ""
    watchdog: float | None = None
    _failure_logged: bool = False

    def ready(self, status: str) -> None:
        """Started, or done with reloading."""
        self._send(READY="1", STATUS=status)

    def reloading(self, status: str) -> None:
        """Reading the configuration again; :meth:`ready` follows."""
        self._send(RELOADING="1", MONOTONIC_USEC=str(time.monotonic_ns() // 1000), STATUS=status)

    def stopping(self, status: str) -> None:
        """About to end."""
        self._send(STOPPING="1", STATUS=status)

    def status(self, status: str) -> None:
        """What ``systemctl status`` shows."""
        self._send(STATUS=status)

    def ping(self) -> None:
        """The watchdog's sign of life."""
        self._send(WATCHDOG="1")

    def extend_timeout(self, seconds: float) -> None:
        """Starting or stopping goes on for so long at most, counted from now."""
        self._send(EXTEND_TIMEOUT_USEC=str(round(seconds * 1e6)))

    def _send(self, **fields: str) -> None:
        if not self.address:
            return
        # A line break in a value would begin another field.
        lines = [f"{name}={' '.join(value.split())}" for name, value in fields.items()]
        path = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            with socket.socket(socket.AF_UNIX, kind) as connection:
                connection.sendto("\n".join(lines).encode(), path)
        except OSError as error:
            if not self._failure_logged:
                self._failure_logged = True
                reason = reason_of(error)
                _log.warning("service manager unreachable", socket=self.address, reason=reason)
        else:
            self._failure_logged = False


def from_environment(environ: MutableMapping[str, str] | None = None) -> Notifier:
    """The notifier that the environment asks for; its variables are removed there."""
    environ = os.environ if environ is None else environ
    address = environ.pop(_SOCKET, "")
    microseconds = environ.pop(_WATCHDOG, "")
    pid = environ.pop(_WATCHDOG_PID, "")
    if address and not address.startswith(("/", "@")):
        _log.warning("service manager ignored", reason="NOTIFY_SOCKET is no unix socket", socket=address)
        address = ""
    for_this_process = not pid or pid == str(os.getpid())
    pings = bool(address) and for_this_process and microseconds.isdigit() and int(microseconds) > 0
    return Notifier(address=address, watchdog=int(microseconds) / 1e6 if pings else None)
