"""The addresses at which the daemon hears of progress: one a network, opened and closed with the jobs.

A job that runs through a restart of the daemon has its URL for good, so an address keeps its port: it is
derived from the folder's ``instance``, and what another program forced it to is remembered. What can go
wrong: the port is taken when the daemon comes back; the address is then tried again until it is free.
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
from typing import Final

import structlog

from reconciler.errors import ServingError, StateError
from reconciler.server.certificate_authority import CERTIFICATE_LIFE, Authority
from reconciler.server.http_server import Listening, Opener, Server
from reconciler.server.routing import Routes
from reconciler.state.atomic_files import read_if_exists, write_atomically

#: Below the ports that the kernel gives to outgoing connections, and off the rendezvous port 29500.
FIRST_PORT: Final = 20_000
PORTS: Final = 9_000
TRIES: Final = 20
#: Certificates are made anew when half of their time is over.
RENEWAL: Final = CERTIFICATE_LIFE.total_seconds() / 2

_log = structlog.get_logger(__name__)


def preferred_port(instance: str) -> int:
    """The port of a folder's daemon unless somebody else has it."""
    return FIRST_PORT + int(hashlib.sha256(instance.encode()).hexdigest()[:8], 16) % PORTS


@dataclass
class _Open:
    listening: Listening
    context: ssl.SSLContext
    made_at: float
    keys: set[str]


class Listeners:
    """See the module; safe to call from several threads.

    Args:
        folder: where the ports are remembered.
        preferred: the port to begin with.
    """

    def __init__(
        self, server: Server, authority: Authority, routes: Routes, *, folder: Path, preferred: int
    ) -> None:
        self._server = server
        self._authority = authority
        self._routes = routes
        self._file = folder / "ports.json"
        self._preferred = preferred
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._ports = _read(self._file)

    def port(
        self,
        address: str,
        key: str,
        *,
        early: bool,
        opened_by: Opener | None = None,
        good: Callable[[socket.socket], bool] = lambda _opened: True,
    ) -> int:
        """The port for a job at this address, which is opened unless it is.

        Args:
            address: of this host.
            key: ``namespace/name`` of the job.
            early: open it also before the host has the address.
            opened_by: makes the socket, where the address is not simply this host's.
            good: whether one that is open still serves; else another takes its place and its port.

        Raises:
            ServingError: it cannot be opened now.
            StateError: the certificate cannot be written.
        """
        with self._lock:
            found = self._open.get(address)
            if found is None or not good(found.listening.socket):
                made = self._opened(address, early=early, opened_by=opened_by)
                if found is not None:
                    made.keys |= found.keys
                    self._server.stop(found.listening)
                found = self._open[address] = made
            found.keys.add(key)
            return found.listening.port

    def serves(self, address: str, good: Callable[[socket.socket], bool]) -> bool:
        """Whether an address is open, by a socket that is good."""
        with self._lock:
            found = self._open.get(address)
            return found is not None and good(found.listening.socket)

    def release(self, live: set[str]) -> None:
        """Close what no job of ``live`` uses any more; renew certificates that have got old."""
        with self._lock:
            for address, one in list(self._open.items()):
                one.keys &= live
                if not one.keys:
                    self._server.stop(one.listening)
                    del self._open[address]
                    self._forget(address)
                elif time.time() - one.made_at > RENEWAL:
                    self._authority.load(one.context, address)
                    one.made_at = time.time()

    def _opened(self, address: str, *, early: bool, opened_by: Opener | None) -> _Open:
        context = self._authority.context(address)
        remembered = self._ports.get(address)
        ports = [remembered] if remembered else range(self._preferred, self._preferred + TRIES)
        problem: ServingError | None = None
        for port in ports:
            try:
                listening = self._server.listen(
                    address, port, self._routes, tls=context, early=early, opened_by=opened_by
                )
            except ServingError as error:
                problem = error
                if not error.taken:
                    raise
                continue
            self._remember(address, port)
            _log.debug("listening for progress", address=address, port=port)
            return _Open(listening, context, time.time(), set())
        raise problem or ServingError(f"No port is free at {address}.")

    def _remember(self, address: str, port: int) -> None:
        if self._ports.get(address) != port:
            self._ports[address] = port
            self._write()

    def _forget(self, address: str) -> None:
        if self._ports.pop(address, None) is not None:
            self._write()

    def _write(self) -> None:
        try:
            write_atomically(self._file, json.dumps(self._ports).encode(), mode=0o600, durable=False)
        except StateError as error:
            # The port is derived anew; only one that was moved would be forgotten.
            _log.warning("the ports for progress are not remembered", reason=str(error))


def _read(path: Path) -> dict[str, int]:
    try:
        data = json.loads(read_if_exists(path) or b"{}")
    except (StateError, ValueError):
        return {}
    found = data.items() if isinstance(data, dict) else ()
    return {str(k): v for k, v in found if isinstance(v, int) and 0 < v < 65_536}
