"""One client's connection: runs an ASGI application on its requests, one after the other, each within limits.

What can go wrong is the client: it sends nothing, a byte a second, a head of megabytes, no HTTP at all, a
body longer than it said, or does not read the answer. Each costs one small task until its time is up. An
application sees it as an ``HTTPException`` from ``receive`` (400, 408, 413), which is answered here where the
application does not, or as ``http.disconnect`` and an ``OSError`` from ``send``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import h11
import structlog
from starlette.exceptions import HTTPException

from reconciler.server.asgi.connection_limits import Client, ConnectionLimits
from reconciler.server.status_responses import exception_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

CHUNK: Final = 16_384
#: Bytes of a refused request that are read and discarded, at most.
MAX_DISCARDED: Final = 2_097_152
#: The client's states until its request is read completely.
_UNREAD: Final = {h11.IDLE, h11.SEND_BODY, h11.ERROR}

_log = structlog.get_logger(__name__)


class HttpConnection:
    """See the module.

    Args:
        app: answers the requests.
        scope: what the ASGI scopes of all requests share: ``client``, ``server``, ``scheme``.
        client: is told what the connection is at.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        app: ASGIApp,
        scope: Mapping[str, Any],
        limits: ConnectionLimits,
        client: Client,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._app = app
        self._scope = scope
        self._limits = limits
        self._client = client
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head)

    async def serve(self, seconds: float) -> None:
        """Answers requests until the client leaves, breaks a limit or asks for the end.

        Args:
            seconds: that the client may take for its first request.
        """
        began = time.monotonic()
        came = await self._wait_for_request(seconds)
        left = seconds - (time.monotonic() - began)
        while came:
            self._client.set_receiving()
            exchange = _Exchange(
                self._reader, self._writer, self._http, self._limits, client=self._client, seconds=left
            )
            if not await exchange.run(self._app, self._scope):
                return
            self._client.set_idle()
            came, left = await self._wait_for_request(self._limits.idle), self._limits.read

    async def _wait_for_request(self, seconds: float) -> bool:
        """Whether a byte of the next request comes in time."""
        if self._http.trailing_data[0]:
            return True
        try:
            async with asyncio.timeout(seconds):
                data = await self._reader.read(CHUNK)
        except TimeoutError:
            return False
        if data:
            self._http.receive_data(data)
        return bool(data)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        http: h11.Connection,
        limits: ConnectionLimits,
        *,
        client: Client,
        seconds: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._http = http
        self._limits = limits
        self._client = client
        self._seconds_left = seconds
        self._body_left = limits.body
        self._pending: Any = h11.NEED_DATA  # the event that came with the request's head
        self._method = b""
        self._response_started = False
        self._response_complete = asyncio.Event()
        self._disconnected = False

    async def run(self, app: ASGIApp, scope: Mapping[str, Any]) -> bool:
        """Has the application answer a request; returns whether the connection can take another."""
        path = b""
        try:
            request = await self._read_event()
            if not isinstance(request, h11.Request):
                return False
            self._method, path = request.method, request.target.partition(b"?")[0]
            length = next((int(value) for name, value in request.headers if name == b"content-length"), 0)
            if length > self._limits.body:
                self._body_left = -1
            # A request without a body is then read completely, also where nobody asks for its body.
            self._pending = self._next_event()
            await app({**scope, **_request_scope(request)}, self.receive, self.send)
            if not self._response_complete.is_set() and not self._disconnected:
                _log.error("request not answered", path=path.decode("ascii"))
                await self._send_error(HTTPException(500))
        except HTTPException as error:
            await self._send_error(error)
        except Exception as error:  # noqa: BLE001  (the boundary: one request's error must not end the listener)
            if self._disconnected:
                _log.debug("connection lost", reason=str(error))
                return False
            _log.exception("request failed", path=path.decode("ascii"))
            await self._send_error(HTTPException(500))
        return await self._finish()

    async def receive(self) -> Message:
        """ASGI's; a client that leaves is noticed while one task awaits this."""
        if self._response_complete.is_set():
            return {"type": "http.disconnect"}
        if self._http.their_state not in _UNREAD and self._pending is h11.NEED_DATA:
            await self._wait_for_disconnect()
            return {"type": "http.disconnect"}
        if self._body_left < 0:
            raise HTTPException(413)
        if self._http.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        event = await self._read_event()
        if isinstance(event, h11.Data):
            self._body_left -= len(event.data)
            if self._body_left < 0:
                raise HTTPException(413)
            return {"type": "http.request", "body": bytes(event.data), "more_body": True}
        if isinstance(event, h11.EndOfMessage):
            return {"type": "http.request", "body": b"", "more_body": False}
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's; returns when the kernel has all of it.

        Raises:
            OSError: the client has left, or does not read.
        """
        if self._disconnected:
            raise ConnectionResetError("the client has left")
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if self._http.their_state in _UNREAD:
                headers.append((b"connection", b"close"))
            self._write(h11.Response(status_code=message["status"], headers=headers))
            self._response_started = True
        else:
            body = message.get("body", b"")
            if body and self._method != b"HEAD":
                self._write(h11.Data(data=body))
            if not message.get("more_body", False):
                self._write(h11.EndOfMessage())
                self._response_complete.set()
        try:
            async with asyncio.timeout(self._limits.write):
                await self._writer.drain()
        except OSError:
            self._disconnected = True
            self._writer.transport.abort()
            raise

    def _write(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")

    async def _send_error(self, error: HTTPException) -> None:
        if not self._response_started:
            await exception_response(error)({"type": "http"}, self.receive, self.send)

    async def _read_event(self) -> Any:
        """Returns the next part of the request; ``h11.ConnectionClosed`` where the client has left.

        Raises:
            HTTPException: the request is malformed, its head is too large, or it takes too long.
        """
        event, self._pending = self._pending, h11.NEED_DATA
        while event is h11.NEED_DATA and (event := self._next_event()) is h11.NEED_DATA:
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._seconds_left):
                    await self._read_more()
            except TimeoutError as error:
                raise HTTPException(408) from error
            finally:
                # Only the client's time counts, not the application's between two reads.
                self._seconds_left -= time.monotonic() - began
            if self._disconnected:
                return h11.ConnectionClosed()
        return event

    def _next_event(self) -> Any:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            code = 431 if error.error_status_hint == 431 else 400
            raise HTTPException(code) from error
        finally:
            if self._http.their_state not in _UNREAD:
                self._client.set_answering()

    async def _read_more(self) -> None:
        try:
            data = await self._reader.read(CHUNK)
        except OSError:
            data = b""
        if data:
            self._http.receive_data(data)
        else:
            self._disconnected = True

    async def _wait_for_disconnect(self) -> None:
        """Waits until the client leaves; what it sends meanwhile is its next request."""
        while not self._disconnected and len(self._http.trailing_data[0]) <= self._limits.head:
            await self._read_more()
        if not self._disconnected:
            await self._response_complete.wait()

    async def _finish(self) -> bool:
        """Makes ready for the next request; returns False where there cannot be one."""
        if not self._response_complete.is_set():
            return False
        if self._http.their_state in _UNREAD:
            await self._linger()
            return False
        with suppress(h11.LocalProtocolError):
            self._http.start_next_cycle()
            return True
        return False

    async def _linger(self) -> None:
        """Reads the rest of a refused request: closed before, the kernel would discard the answer with it.

        A client of plain HTTP sees the end at once; with TLS only closing shows it.
        """
        self._client.set_idle()
        with suppress(TimeoutError, OSError):
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(self._limits.linger):
                left = MAX_DISCARDED
                while left > 0 and not self._is_read() and (data := await self._reader.read(CHUNK)):
                    left -= len(data)
                    with suppress(h11.RemoteProtocolError):
                        self._http.receive_data(data)

    def _is_read(self) -> bool:
        """Whether the refused request is here to its end; where it is malformed, nobody knows."""
        with suppress(h11.RemoteProtocolError):
            while self._http.their_state is h11.SEND_BODY and self._http.next_event() is not h11.NEED_DATA:
                pass
        return self._http.their_state not in _UNREAD


def _request_scope(request: h11.Request) -> dict[str, Any]:
    path, _, query = request.target.partition(b"?")
    return {
        "type": "http",
        # 2.3: Starlette then listens for the end of the connection while it streams.
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.http_version.decode("ascii"),
        "method": request.method.decode("ascii"),
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "root_path": "",
        "query_string": query,
        "headers": list(request.headers),
    }
