"""Answers that last: pieces as they are made, clients that leave or do not read, applications without Starlette."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import ssl
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from reconciler.server.certificate_authority import CertificateAuthority
from reconciler.server.status_responses import build_application
from tests.server.conftest import DEADLINE, Wire
from tests.server.test_http_server import post

GET = "GET /{} HTTP/1.1\nHost: x\n\n"


class Stream:
    """An endpoint whose answer the test sends piece by piece."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.ended = threading.Event()
        self._queue: asyncio.Queue[bytes | None]
        self._loop: asyncio.AbstractEventLoop

    def put(self, piece: bytes | None) -> None:
        """Sends a piece; None ends the answer."""
        assert self.opened.wait(DEADLINE)
        self._loop.call_soon_threadsafe(self._queue.put_nowait, piece)

    async def watch(self, _request: Request) -> Response:
        self._loop, self._queue = asyncio.get_running_loop(), asyncio.Queue()
        self.opened.set()
        return StreamingResponse(self._until_none())

    async def _until_none(self) -> AsyncIterator[bytes]:
        try:
            while (piece := await self._queue.get()) is not None:
                yield piece
        finally:
            self.ended.set()


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def app(stream: Stream) -> Any:
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    return build_application(
        Route("/watch", stream.watch),
        Route("/echo/{name}", echo, methods=["POST"]),
    )


def read_until(wire: Wire, text: bytes) -> bytes:
    data = b""
    while text not in data:
        more = wire.socket.recv(65536)
        assert more, f"closed after {data!r}"
        data += more
    return data


def test_pieces_arrive_as_they_are_made_for_longer_than_any_time_limit(dial, stream, limits):
    wire = dial()
    wire.send(GET.format("watch"))

    read_until(wire, b"\r\n\r\n")
    for piece in (b"first", b"second"):
        assert not stream.ended.wait(limits.read + limits.idle)
        stream.put(piece)
        read_until(wire, piece)
    stream.put(None)

    read_until(wire, b"0\r\n\r\n")
    wire.send(post("/echo/a", "again"))
    assert read_until(wire, b"again").startswith(b"HTTP/1.1 200")


def test_stream_ends_when_its_client_leaves(dial, stream):
    wire = dial()
    wire.send(GET.format("watch"))
    stream.put(b"first")
    read_until(wire, b"first")

    wire.socket.close()

    assert stream.ended.wait(DEADLINE)


def test_stream_ends_when_the_server_closes(dial, stream, server):
    dial().send(GET.format("watch"))
    stream.put(b"first")

    server.close()

    assert stream.ended.is_set()


def test_request_sent_while_a_stream_lasts_is_answered_after_it(dial, stream):
    wire = dial()
    wire.send(GET.format("watch"))
    stream.put(b"first")
    read_until(wire, b"first")

    wire.send(post("/echo/a", "next"))
    stream.put(b"last")
    read_until(wire, b"last")
    stream.put(None)

    assert b"0\r\n\r\nHTTP/1.1 200" in read_until(wire, b"next")


def test_head_request_has_the_headers_without_the_body(dial, app):
    app.router.routes.append(Route("/text", lambda _request: Response("text")))
    wire = dial()

    wire.send("HEAD /text HTTP/1.1\nHost: x\n\n" + GET.format("text"))

    answer = read_until(wire, b"text")
    assert answer.count(b"content-length: 4") == 2
    assert answer.count(b"text") == 1


# -- applications that are no Starlette


@pytest.fixture
def call(server):
    """Returns the raw answer of an ASGI application to a request."""

    def answer(application: Any, request: str) -> bytes:
        listener = server.listen("127.0.0.1", 0, application)
        with Wire.connect(listener.port) as wire:
            wire.send(request)
            return wire.read_all()

    return answer


def test_application_sees_the_end_of_body_answer_and_connection(server):
    seen: list[str] = []
    done = threading.Event()

    async def application(_scope, receive, send) -> None:
        while (message := await receive())["type"] == "http.request":
            seen.append(message["body"].decode())
            if not message["more_body"]:
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"hello", "more_body": True})
        seen.append(message["type"])
        with pytest.raises(OSError, match="has left"):
            await send({"type": "http.response.body", "body": b"too late"})
        done.set()

    listener = server.listen("127.0.0.1", 0, application)
    with Wire.connect(listener.port) as wire:
        wire.send(post("/", "body"))
        read_until(wire, b"hello")

    assert done.wait(DEADLINE)
    assert seen == ["body", "", "http.disconnect"]


def test_pieces_and_further_requests_pass_through_tls(server, tmp_path):
    async def application(_scope, _receive, send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"300000")]}
        )
        for number in range(3):
            await send({"type": "http.response.body", "body": bytes(100_000), "more_body": number < 2})

    authority = CertificateAuthority(tmp_path)
    tls = authority.server_context("127.0.0.1")
    listener = server.listen("127.0.0.1", 0, application, tls=tls)
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    connection = http.client.HTTPSConnection("127.0.0.1", listener.port, context=context, timeout=DEADLINE)
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("GET", "/")
            assert len(connection.getresponse().read()) == 300_000


def test_application_waits_for_a_client_that_does_not_read_and_is_ended_after_the_write_time(server, limits):
    pieces = 0
    ended = threading.Event()

    async def application(_scope, _receive, send) -> None:
        nonlocal pieces
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
                pieces += 1
        except OSError:
            ended.set()

    listener = server.listen("127.0.0.1", 0, application)
    with Wire.connect(listener.port) as wire:
        wire.send(GET.format(""))

        assert ended.wait(DEADLINE)
    assert pieces < 200  # what the kernel buffers


@pytest.mark.parametrize("finish", ["return", "raise"])
def test_application_that_does_not_answer_is_an_internal_error(call, finish):
    async def application(_scope, _receive, _send) -> None:
        if finish == "raise":
            raise RuntimeError("this application is broken")

    assert call(application, GET.format("")).startswith(b"HTTP/1.1 500")


def test_answer_that_breaks_off_closes_the_connection(call):
    async def application(_scope, _receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    assert call(application, GET.format("")).endswith(b"half")


def test_refused_body_is_answered_for_an_application_that_does_not(call, limits):
    async def application(_scope, receive, _send) -> None:
        while True:
            await receive()

    assert call(application, post("/", "x" * (limits.body + 1))).startswith(b"HTTP/1.1 413")
