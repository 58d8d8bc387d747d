"""A server with short limits, and a client that speaks bytes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from reconciler.server.client_limits import Limits
from reconciler.server.http_server import Server
from reconciler.server.messages import FORBIDDEN, Request, Response, as_json
from reconciler.server.routing import Route, Routes

DEADLINE = 20.0


@dataclass
class Wire:
    """One raw connection."""

    socket: socket.socket

    def send(self, text: str) -> None:
        self.socket.sendall(text.replace("\n", "\r\n").encode())

    def read_all(self) -> bytes:
        """Until the server closes."""
        parts = []
        while data := self.socket.recv(65536):
            parts.append(data)
        return b"".join(parts)

    def answer(self) -> tuple[int, dict]:
        """One answer: its code, and its body decoded."""
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
def limits() -> Limits:
    return Limits(read=0.5, write=0.5, idle=0.6, connections=12, per_peer=8, linger=0.5)


@pytest.fixture
def routes() -> Routes:
    def echo(request: Request) -> Response:
        return as_json({"name": request.params["name"], "bytes": len(request.body)})

    def fail(_request: Request) -> Response:
        raise RuntimeError("this endpoint is broken")

    return Routes(
        Route("POST", "/echo/{name}", echo),
        Route("POST", "/closed", fail, admit=lambda _head: FORBIDDEN),
        Route("GET", "/broken", fail),
    )


@pytest.fixture
def server(limits) -> Iterator[Server]:
    made = Server(limits)
    yield made
    made.close()


@pytest.fixture
def dial(server, routes):
    listening = server.listen("127.0.0.1", 0, routes)
    wires: list[Wire] = []

    def connect() -> Wire:
        wires.append(Wire(socket.create_connection(("127.0.0.1", listening.port), timeout=DEADLINE)))
        return wires[-1]

    yield connect
    for wire in wires:
        wire.socket.close()
