"""Listeners, any number of them on one thread, opened and closed while it runs.

Connections are counted when they are accepted, before TLS: who opens sockets and says nothing must not use up
the daemon's file descriptors. What can go wrong: an address that is taken or is not this host's (said by
:class:`ServingError` to who asked for it).
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog

from reconciler.errors import ServingError
from reconciler.server.client_limits import Limits
from reconciler.server.connections import Connection
from reconciler.server.namespace_socket import listening
from reconciler.server.routing import Routes

#: Threads that make answers; who is slow there waits for others of its kind only.
HANDLERS = 2
CLOSING = 3.0

#: Makes a listening socket that does not block, at an address and port; raises :class:`ServingError`.
Opener = Callable[[str, int], socket.socket]

_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Listening:
    """One open listener."""

    address: str
    port: int
    routes: Routes
    tls: ssl.SSLContext | None
    socket: socket.socket
    task: asyncio.Task[None] | None = field(default=None, repr=False)


@dataclass(eq=False)
class _Client:
    peer: str
    idle: bool = True


class Server:
    """See the module; the thread starts with the first listener."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._listening: set[Listening] = set()
        self._handlers = ThreadPoolExecutor(HANDLERS, thread_name_prefix="serving-handler")
        # The loop's own, touched by its thread only; dicts keep the order of arrival.
        self._clients: dict[asyncio.Task[None], _Client] = {}

    def listen(
        self,
        address: str,
        port: int,
        routes: Routes,
        *,
        tls: ssl.SSLContext | None = None,
        early: bool = False,
        opened_by: Opener | None = None,
    ) -> Listening:
        """Open a listener.

        Args:
            address: an IP address of this host; 0.0.0.0 would be everybody's and is refused.
            port: 0: any that is free.
            routes: what can be asked for there.
            tls: with a certificate loaded; None: plain HTTP.
            early: listen also where the host does not have the address yet (Linux).
            opened_by: makes the socket, where that takes more than to ask for it.

        Raises:
            ServingError: the address is taken or not this host's.
        """
        opened = opened_by(address, port) if opened_by is not None else _open(address, port, early=early)
        made = Listening(address, opened.getsockname()[1], routes, tls, opened)
        loop = self._running()
        if loop is None:
            # Closed: the address could be had, so the next daemon will have it.
            opened.close()
            return made
        with self._lock:
            self._listening.add(made)
        loop.call_soon_threadsafe(self._start, made)
        return made

    def stop(self, listening: Listening) -> None:
        """Close a listener; its connections come to their end by themselves."""
        with self._lock:
            self._listening.discard(listening)
            loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(_cancel, listening)

    def close(self) -> None:
        """Close everything, without waiting for clients."""
        with self._lock:
            loop, thread, self._loop, self._closed = self._loop, self._thread, None, True
            listening, self._listening = self._listening, set()
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(CLOSING)
        for one in listening:
            one.socket.close()
        self._handlers.shutdown(wait=False, cancel_futures=True)

    def _running(self) -> asyncio.AbstractEventLoop | None:
        with self._lock:
            if self._loop is None and not self._closed:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="serving", daemon=True)
                self._thread.start()
            return self._loop

    def _start(self, listening: Listening) -> None:
        if listening in self._listening:
            listening.task = asyncio.get_running_loop().create_task(self._accept(listening))

    async def _accept(self, listening: Listening) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    accepted, peer = await loop.sock_accept(listening.socket)
                except OSError as error:
                    # Out of descriptors, or the client has left already.
                    _log.debug("accept failed", reason=str(error))
                    await asyncio.sleep(0.2)
                    continue
                self._take(accepted, str(peer[0]), listening)
        finally:
            listening.socket.close()

    def _take(self, accepted: socket.socket, peer: str, listening: Listening) -> None:
        mine = [task for task, client in self._clients.items() if client.peer == peer]
        crowd = mine if len(mine) >= self._limits.per_peer else list(self._clients)
        full = crowd is mine or len(self._clients) >= self._limits.connections
        if full:
            oldest = next((task for task in crowd if self._clients[task].idle), None)
            if oldest is None:
                accepted.close()
                return
            self._clients.pop(oldest)
            oldest.cancel()
        client = _Client(peer)
        task = asyncio.get_running_loop().create_task(self._serve(accepted, client, listening))
        self._clients[task] = client
        task.add_done_callback(lambda done: self._clients.pop(done, None))

    async def _serve(self, accepted: socket.socket, client: _Client, listening: Listening) -> None:
        writer: asyncio.StreamWriter | None = None
        ended = False
        try:
            reader, writer = await self._stream(accepted, listening)
            connection = Connection(
                reader,
                writer,
                peer=client.peer,
                routes=listening.routes,
                limits=self._limits,
                handlers=self._handlers,
                on_idle=lambda idle: setattr(client, "idle", idle),
            )
            await connection.serve()
            ended = True
        except (OSError, ssl.SSLError, TimeoutError, EOFError) as error:
            _log.debug("a connection broke", peer=client.peer, reason=str(error))
        except Exception:  # noqa: BLE001  (the boundary: one client's connection must not end the others)
            _log.exception("an error of this program; please report it", peer=client.peer)
        finally:
            if writer is None:
                accepted.close()
            else:
                # close() waits for what is left to send, which one who reads nothing never takes.
                writer.close() if ended else writer.transport.abort()

    async def _stream(
        self, accepted: socket.socket, listening: Listening
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=self._limits.head)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            accepted,
            ssl=listening.tls,
            ssl_handshake_timeout=self._limits.read if listening.tls else None,
            ssl_shutdown_timeout=1.0 if listening.tls else None,
        )
        # So that drain() waits until the kernel has all of an answer.
        transport.set_write_buffer_limits(high=0)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        with suppress(Exception):
            loop.run_until_complete(_all(left))
        loop.close()


async def _all(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks, timeout=1.0) if tasks else None


def _cancel(listening: Listening) -> None:
    if listening.task is not None:
        listening.task.cancel()
    else:
        listening.socket.close()


def _open(address: str, port: int, *, early: bool) -> socket.socket:
    wanted = ipaddress.ip_address(address)
    if wanted.is_unspecified:
        raise ServingError(f"{address} is every address of this host.", remedy="Name one of them.")
    try:
        made = listening(address, port, early=early)
    except OSError as error:
        raise _refused(address, port, error) from error
    made.setblocking(False)
    return made


def _refused(address: str, port: int, error: OSError) -> ServingError:
    if error.errno == errno.EADDRINUSE:
        message = f"Port {port} at {address} is taken by another program."
        return ServingError(message, remedy=f"See which with `ss -ltnp 'sport = :{port}'`.", taken=True)
    if error.errno == errno.EADDRNOTAVAIL:
        return ServingError(f"{address} is no address of this host.")
    return ServingError(f"Cannot listen at {address} port {port}: {error.strerror}.")
