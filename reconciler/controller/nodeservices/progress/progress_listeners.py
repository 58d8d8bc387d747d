"""The addresses at which the daemon receives progress: one per network, opened and closed with the jobs.

A job that runs through a restart of the daemon keeps its URL, so an address keeps its port: the port is
derived from the folder's ``instance``, and a different one that another program forced is remembered. What
can go wrong: the port is taken when the daemon comes back; the address is then tried again until the port is
free.
"""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from reconciler.errors import ListenError, StateError
from reconciler.server.asgi.http_server import Server
from reconciler.server.asgi.listeners import Listener, SocketFactory
from reconciler.server.certificate_authority import CERTIFICATE_LIFETIME, CertificateAuthority
from reconciler.state.atomic_files import read_if_exists, write_atomically

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: Below the ports that the kernel gives to outgoing connections, and off the rendezvous port 29500.
FIRST_PORT: Final = 20_000
PORT_COUNT: Final = 9_000
#: How many ports from the preferred one on are tried.
PORT_TRIES: Final = 20
#: Certificates are renewed when half of their life is over.
RENEW_AFTER: Final = CERTIFICATE_LIFETIME.total_seconds() / 2

_log = structlog.get_logger(__name__)


def preferred_port(instance: str) -> int:
    """Returns the port of a folder's daemon unless another program has it."""
    return FIRST_PORT + int(hashlib.sha256(instance.encode()).hexdigest()[:8], 16) % PORT_COUNT


@dataclass
class _ProgressListener:
    listener: Listener
    context: ssl.SSLContext
    certified_at: float
    jobs: set[str]


class ProgressListeners:
    """Opens and closes listeners by the jobs that use them; safe to call from several threads.

    Args:
        folder: where the ports are remembered.
        preferred: the first port to try.
    """

    def __init__(
        self, server: Server, authority: CertificateAuthority, app: ASGIApp, *, folder: Path, preferred: int
    ) -> None:
        self._server = server
        self._authority = authority
        self._app = app
        self._file = folder / "ports.json"
        self._preferred = preferred
        self._lock = threading.Lock()
        self._listeners: dict[str, _ProgressListener] = {}
        self._ports = _load_ports(self._file)

    def open(
        self,
        address: str,
        key: str,
        *,
        freebind: bool,
        open_socket: SocketFactory | None = None,
        usable: Callable[[socket.socket], bool] = lambda _socket: True,
    ) -> int:
        """Opens the address for a job, unless it is open, and returns its port.

        Args:
            address: of this host.
            key: ``namespace/name`` of the job.
            freebind: open it also before the host has the address.
            open_socket: opens the socket, where the address is not simply this host's.
            usable: whether an open socket still serves; else a new one replaces it at the same port.

        Raises:
            ListenError: it cannot be opened now.
            StateError: the certificate cannot be written.
        """
        with self._lock:
            current = self._listeners.get(address)
            if current is None or not usable(current.listener.socket):
                opened = self._listen(address, freebind=freebind, open_socket=open_socket)
                if current is not None:
                    opened.jobs |= current.jobs
                    self._server.stop(current.listener)
                current = self._listeners[address] = opened
            current.jobs.add(key)
            return current.listener.port

    def is_open(self, address: str, usable: Callable[[socket.socket], bool]) -> bool:
        """Whether an address is open, with a usable socket."""
        with self._lock:
            current = self._listeners.get(address)
            return current is not None and usable(current.listener.socket)

    def close_unused(self, unfinished: set[str]) -> None:
        """Closes what none of the unfinished jobs uses; renews old certificates of the rest."""
        with self._lock:
            for address, entry in list(self._listeners.items()):
                entry.jobs &= unfinished
                if not entry.jobs:
                    self._server.stop(entry.listener)
                    del self._listeners[address]
                    if self._ports.pop(address, None) is not None:
                        self._save_ports()
                elif time.time() - entry.certified_at > RENEW_AFTER:
                    self._authority.renew(entry.context, address)
                    entry.certified_at = time.time()

    def _listen(
        self, address: str, *, freebind: bool, open_socket: SocketFactory | None
    ) -> _ProgressListener:
        context = self._authority.server_context(address)
        remembered = self._ports.get(address)
        ports = [remembered] if remembered else range(self._preferred, self._preferred + PORT_TRIES)
        problem: ListenError | None = None
        for port in ports:
            try:
                listener = self._server.listen(
                    address, port, self._app, tls=context, freebind=freebind, open_socket=open_socket
                )
            except ListenError as error:
                problem = error
                if not error.taken:
                    raise
                continue
            if port != remembered:
                self._ports[address] = port
                self._save_ports()
            _log.debug("progress listener opened", address=address, port=port)
            return _ProgressListener(listener, context, time.time(), set())
        raise problem or ListenError(f"No port is free at {address}.")

    def _save_ports(self) -> None:
        try:
            write_atomically(self._file, json.dumps(self._ports).encode(), mode=0o600, durable=False)
        except StateError as error:
            # The port is derived again at the next start; only one that was moved would be lost.
            _log.warning("progress ports not saved", reason=str(error))


def _load_ports(path: Path) -> dict[str, int]:
    try:
        data = json.loads(read_if_exists(path) or b"{}")
    except (StateError, ValueError):
        return {}
    ports = data.items() if isinstance(data, dict) else ()
    return {str(k): v for k, v in ports if isinstance(v, int) and 0 < v < 65_536}
