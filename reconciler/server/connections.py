"""One client's connection: requests one after the other, each within its limits.

What can go wrong is the client: it sends nothing, a byte a second, a head of megabytes, no HTTP at all, a
body longer than it said, or does not read the answer. Each costs one small task until its time is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from urllib.parse import unquote

import h11
import structlog

from reconciler.server.client_limits import Limits
from reconciler.server.messages import INTERNAL_ERROR, NOT_FOUND, TOO_LARGE, Head, Request, Response, refusal
from reconciler.server.routing import Route, Routes

CHUNK = 16_384
#: Bytes of a refused request that are read and thrown away, at most.
DISCARDED = 2_097_152
BAD_REQUEST = refusal(400, "BadRequest", "Bad request")
TIMED_OUT = refusal(408, "Timeout", "Request took too long")
HEAD_TOO_LARGE = refusal(431, "RequestHeaderFieldsTooLarge", "Request header fields too large")

_CONTINUE = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")

_log = structlog.get_logger(__name__)


class Connection:
    """See the module.

    Args:
        on_idle: told whether the connection only waits for a next request.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        peer: str,
        routes: Routes,
        limits: Limits,
        handlers: Executor,
        on_idle: Callable[[bool], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._peer = peer
        self._routes = routes
        self._limits = limits
        self._handlers = handlers
        self._on_idle = on_idle
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.head)

    async def serve(self) -> None:
        """Until the client leaves or is told to."""
        wait = self._limits.read
        while await self._awaits_request(wait):
            try:
                async with asyncio.timeout(self._limits.read):
                    response = await self._exchange()
            except TimeoutError:
                response = TIMED_OUT
            except h11.RemoteProtocolError as error:
                response = HEAD_TOO_LARGE if error.error_status_hint == 431 else BAD_REQUEST
            if response is None or not await self._answer(response):
                return
            wait = self._limits.idle

    async def _awaits_request(self, wait: float) -> bool:
        """Whether a byte of the next request has come in time."""
        if self._http.trailing_data[0]:
            return True
        self._on_idle(True)
        try:
            async with asyncio.timeout(wait):
                data = await self._reader.read(CHUNK)
        except TimeoutError:
            return False
        finally:
            self._on_idle(False)
        if data:
            self._http.receive_data(data)
        return bool(data)

    async def _exchange(self) -> Response | None:
        """Read one request and make its answer; None: the client has left."""
        event = await self._next_event()
        if not isinstance(event, h11.Request):
            return None
        head = _head(event, self._peer)
        found = self._routes.find(head.method, head.path)
        if found is None:
            return NOT_FOUND
        route, params = found
        head = Head(**{**vars(head), "params": params})
        if (refused := route.admit(head)) is not None:
            return refused
        body = await self._body(head)
        if body is None:
            return TOO_LARGE
        return await self._handled(route, Request(**vars(head), body=body))

    async def _body(self, head: Head) -> bytes | None:
        """The whole body; None: it is over the limit."""
        said = head.headers.get("content-length", "0")
        if said.isdigit() and int(said) > self._limits.body:
            return None
        if self._http.they_are_waiting_for_100_continue:
            go_on = self._http.send(
                h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            )
            self._writer.write(go_on or b"")
        body = bytearray()
        while not isinstance(event := await self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
            if len(body) > self._limits.body:
                return None
        return bytes(body)

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(CHUNK))
        return event

    async def _handled(self, route: Route, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._handlers, route.handle, request)
        except Exception:  # noqa: BLE001  (the boundary: one request's error must not end the listener)
            _log.exception("an endpoint failed; please report it", path=request.path)
            return INTERNAL_ERROR

    async def _answer(self, response: Response) -> bool:
        """Send it; whether the connection can be used again."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return False
        headers = [("content-type", response.content_type), ("content-length", str(len(response.body)))]
        unread = self._http.their_state is not h11.DONE
        if unread:
            headers.append(("connection", "close"))
        reply = h11.Response(status_code=response.status, headers=headers)
        parts = [self._http.send(part) for part in (reply, h11.Data(data=response.body), h11.EndOfMessage())]
        async with asyncio.timeout(self._limits.write):
            self._writer.write(b"".join(part for part in parts if part))
            await self._writer.drain()
        if unread:
            await self._linger()
            return False
        return self._again()

    def _again(self) -> bool:
        """Make ready for the next request; False where the client asked for the end."""
        with suppress(h11.LocalProtocolError):
            self._http.start_next_cycle()
            return True
        return False

    async def _linger(self) -> None:
        """Read on for a moment: closed at once, the kernel would throw the answer away with the request."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.linger):
                left = DISCARDED
                while left > 0 and (data := await self._reader.read(CHUNK)):
                    left -= len(data)


def _head(event: h11.Request, peer: str) -> Head:
    headers: dict[str, str] = {}
    for name, value in event.headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    path, _, query = event.target.decode("latin-1").partition("?")
    return Head(
        method=event.method.decode("latin-1"), path=unquote(path), query=query, headers=headers, peer=peer
    )
