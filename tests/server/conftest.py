"""A server with short limits, and a client that sends and receives bytes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.server.asgi.connection_limits import ConnectionLimits
from reconciler.server.asgi.http_server import Server
from reconciler.server.status_responses import ApiResponse, build_application, error_response

DEADLINE = 20.0


@dataclass
class Wire:
    """One raw connection."""

    socket: socket.socket

    @classmethod
    @contextmanager
    def connect(cls, port: int) -> Iterator[Wire]:
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as opened:
            yield cls(opened)

    def send(self, text: str) -> None:
        self.socket.sendall(text.replace("\n", "\r\n").encode())

    def read_all(self) -> bytes:
        """Until the server closes."""
        parts = []
        while data := self.socket.recv(65536):
            parts.append(data)
        return b"".join(parts)

    def answer(self) -> tuple[int, dict]:
        """One answer: its code and its decoded body."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            assert more, f"closed after {data!r}"
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        while len(body) < length:
            body += self.socket.recv(65536)
        return int(head.split()[1]), json.loads(body)


@pytest.fixture
def limits() -> ConnectionLimits:
    return ConnectionLimits(read=0.5, write=0.5, idle=0.6, connections=12, per_peer=8, linger=0.5)


@pytest.fixture
def app() -> Starlette:
    async def echo(request: Request) -> Response:
        body = await request.body()
        return ApiResponse({"name": request.path_params["name"], "bytes": len(body)})

    async def refuse(_request: Request) -> Response:
        return error_response(403)

    def fail(_request: Request) -> Response:
        raise RuntimeError("this endpoint is broken")

    return build_application(
        Route("/echo/{name}", echo, methods=["POST"]),
        Route("/closed", refuse, methods=["POST"]),
        Route("/broken", fail),
        Route("/large", lambda _request: Response(bytes(8_000_000))),
    )


@pytest.fixture
def server(limits: ConnectionLimits) -> Iterator[Server]:
    made = Server(limits)
    yield made
    made.close()


@pytest.fixture
def dial(server, app):
    listener = server.listen("127.0.0.1", 0, app)
    with ExitStack() as wires:
        yield lambda: wires.enter_context(Wire.connect(listener.port))
