"""Limits counted at accept, with time limits so long that nothing else closes a connection."""

from __future__ import annotations

import pytest

from reconciler.server.asgi.connection_limits import ConnectionLimits
from tests.server.conftest import Wire
from tests.server.test_http_server import post


@pytest.fixture
def limits() -> ConnectionLimits:
    return ConnectionLimits(read=60, write=60, idle=60, connections=6, per_peer=4)


def is_closed(wire: Wire) -> bool:
    try:
        return wire.socket.recv(10) == b""
    except ConnectionError:
        return True


def test_connection_beyond_the_limit_closes_the_longest_idle_one(dial, limits):
    wires = [dial() for _ in range(limits.per_peer)]
    # The oldest connection becomes the one that has been idle for the shortest time.
    for wire in (wires[1], *wires[2:], wires[0]):
        wire.send(post("/echo/a"))
        assert wire.answer()[0] == 200

    last = dial()

    assert is_closed(wires[1])
    for wire in (wires[0], last):
        wire.send(post("/echo/a"))
        assert wire.answer()[0] == 200


def test_connection_beyond_the_limit_is_closed_where_none_is_idle(dial, limits):
    busy = [dial() for _ in range(limits.per_peer)]
    for wire in busy:
        wire.send("POST /echo/a HTTP/1.1\nHost: x\nExpect: 100-continue\nContent-Length: 1\n\n")
        assert wire.socket.recv(100).startswith(b"HTTP/1.1 100")

    assert is_closed(dial())

    busy[0].send("x")
    assert busy[0].answer()[0] == 200
