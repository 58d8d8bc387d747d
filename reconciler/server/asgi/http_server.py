"""The HTTP server: any number of listeners on one thread, opened and closed while it runs.

Connections are counted when they are accepted, before TLS: a client that opens sockets and sends nothing must
not use up the daemon's file descriptors. What can go wrong: an address that cannot be opened, see
:mod:`.listeners`; an application that blocks the thread.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Final

import structlog

from reconciler.common.os_errors import describe_os_error
from reconciler.server.asgi.connection_limits import Client, ConnectionLimits, ConnectionTable
from reconciler.server.asgi.listeners import Listener, SocketFactory, open_host_socket

if TYPE_CHECKING:
    from starlette.types import ASGIApp

#: Threads for endpoints that are no coroutines; a slow one delays others of its kind only.
HANDLER_THREADS: Final = 2
CLOSE_TIMEOUT: Final = 3.0
#: Seconds until accept is tried again: out of descriptors, or the client has left already.
ACCEPT_RETRY_DELAY: Final = 0.2

_log = structlog.get_logger(__name__)


class Server:
    """See the module; the thread starts with the first listener."""

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self._limits = limits or ConnectionLimits()
        self._connections = ConnectionTable(self._limits)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()
        self._closed = False
        self._listeners: set[Listener] = set()
        self._refusal_logged = False

    def listen(
        self,
        address: str,
        port: int,
        app: ASGIApp,
        *,
        tls: ssl.SSLContext | None = None,
        freebind: bool = False,
        open_socket: SocketFactory | None = None,
    ) -> Listener:
        """Opens a listener.

        Args:
            address: an IP address of this host; 0.0.0.0 would be everybody's and is refused.
            port: 0: any that is free.
            app: answers the requests.
            tls: with a certificate loaded; None: plain HTTP.
            freebind: listen also where the host does not have the address yet (Linux).
            open_socket: opens the socket, where the address is not simply this host's.

        Raises:
            ListenError: the address is taken or not this host's.
        """
        opened = (
            open_socket(address, port) if open_socket else open_host_socket(address, port, freebind=freebind)
        )
        listener = Listener(address, opened.getsockname()[1], app, tls, opened)
        with self._lock:
            if self._closed:
                # The address could be had, so the next daemon will have it.
                opened.close()
                return listener
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="http", daemon=True
                )
                self._thread.start()
            self._listeners.add(listener)
            self._loop.call_soon_threadsafe(self._start, listener)
        return listener

    def stop(self, listener: Listener) -> None:
        """Closes a listener; its connections end by themselves."""
        with self._lock:
            self._listeners.discard(listener)
            if self._loop is not None:
                self._loop.call_soon_threadsafe(listener.close)

    def close(self) -> None:
        """Closes everything, without waiting for clients."""
        with self._lock:
            loop, self._loop, self._closed = self._loop, None, True
            listeners, self._listeners = self._listeners, set()
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(CLOSE_TIMEOUT)
        for listener in listeners:
            listener.socket.close()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(self._wait_until_closed())

    async def _wait_until_closed(self) -> None:
        import anyio.to_thread  # noqa: PLC0415  (heavy; Starlette runs what is no coroutine in its threads)

        anyio.to_thread.current_default_thread_limiter().total_tokens = HANDLER_THREADS
        await self._stopping.wait()

    def _start(self, listener: Listener) -> None:
        if listener in self._listeners:
            listener.task = asyncio.get_running_loop().create_task(self._accept(listener))
            listener.task.add_done_callback(lambda _task: listener.socket.close())

    async def _accept(self, listener: Listener) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listener.socket)
            except OSError as error:
                self._log_refusal(error)
                await asyncio.sleep(ACCEPT_RETRY_DELAY)
                continue
            self._refusal_logged = False
            if not self._connections.make_room(peer[0], listener):
                accepted.close()
                continue
            client = Client(peer[0], listener)
            self._connections.add(loop.create_task(self._serve(accepted, client, peer[1], listener)), client)

    def _log_refusal(self, error: OSError) -> None:
        """Log that a connection could not be accepted; without descriptors, once until one could."""
        if error.errno not in {errno.EMFILE, errno.ENFILE}:
            _log.debug("accept failed", reason=str(error))
        elif not self._refusal_logged:
            self._refusal_logged = True
            _log.warning("accept failed", reason=describe_os_error(error), retry_in=ACCEPT_RETRY_DELAY)

    async def _serve(self, accepted: socket.socket, client: Client, port: int, listener: Listener) -> None:
        from reconciler.server.asgi.http_connection import HttpConnection  # noqa: PLC0415  (h11, Starlette)

        writer: asyncio.StreamWriter | None = None
        began, ended = time.monotonic(), False
        try:
            reader, writer = await self._open_streams(accepted, listener.tls)
            scope = {
                "client": (client.peer, port),
                "server": (listener.address, listener.port),
                "scheme": "https" if listener.tls else "http",
            }
            seconds = self._limits.read - (time.monotonic() - began)
            await HttpConnection(
                reader, writer, app=listener.app, scope=scope, limits=self._limits, client=client
            ).serve(seconds)
            ended = True
        except (OSError, EOFError) as error:
            _log.debug("connection lost", peer=client.peer, reason=str(error))
        except Exception:  # noqa: BLE001  (the boundary: one client's connection must not end the others)
            _log.exception("connection failed", peer=client.peer)
        finally:
            if writer is None:
                accepted.close()
            elif ended:
                writer.close()
            else:
                # close() waits until all is sent, which a client that reads nothing never takes.
                writer.transport.abort()

    async def _open_streams(
        self, accepted: socket.socket, tls: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=self._limits.head)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            accepted,
            ssl=tls,
            ssl_handshake_timeout=self._limits.read if tls else None,
            ssl_shutdown_timeout=1.0 if tls else None,
        )
        # So that drain() waits until the kernel has all of it. Not 0 with TLS: asyncio takes an empty buffer
        # for a full one then.
        transport.set_write_buffer_limits(high=1 if tls else 0)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
