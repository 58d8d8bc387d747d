"""A body is decoded alike, however its bytes are cut, and never waits for more."""

from __future__ import annotations

import io
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from reconciler.engines.http.polled_logs.polled_body import PolledBody
from reconciler.errors import EngineError

CHUNKED = b"5\r\nhello\r\n1;x=y\r\n \r\n6\r\nworld!\r\n0\r\n\r\n"


def body(*, chunked: bool, length: int | None = None, begun: bytes = b"") -> tuple[PolledBody, socket.socket]:
    """A body, and the engine's end of its connection."""
    here, there = socket.socketpair()
    response: Any = SimpleNamespace(chunked=chunked, length=length, fp=io.BufferedReader(io.BytesIO(begun)))
    return PolledBody(response, here), there


def read(polled: PolledBody) -> bytes:
    """What there is now."""
    pieces = []
    while data := polled.read():
        pieces.append(data)
    return b"".join(pieces)


@pytest.mark.parametrize("begun", [0, 3, len(CHUNKED)])
def test_chunks_are_decoded_wherever_they_are_cut(begun: int) -> None:
    polled, there = body(chunked=True, begun=CHUNKED[:begun])
    got = read(polled)
    for position in range(begun, len(CHUNKED)):
        there.sendall(CHUNKED[position : position + 1])
        got += read(polled)

    assert got == b"hello world!"
    assert polled.read() == b""


@pytest.mark.parametrize(("chunked", "length"), [(True, None), (False, None), (False, 10)])
def test_nothing_to_read_is_not_the_end(chunked: bool, length: int | None) -> None:
    polled, _there = body(chunked=chunked, length=length)

    assert polled.read() is None


def test_a_body_without_chunks_ends_with_its_length_or_its_connection() -> None:
    sized, there = body(chunked=False, length=5)
    there.sendall(b"hello")
    assert (read(sized), sized.read()) == (b"hello", b"")
    unsized, there = body(chunked=False)
    there.sendall(b"hello")
    there.close()
    assert (read(unsized), unsized.read()) == (b"hello", b"")


@pytest.mark.parametrize(
    ("chunked", "length", "sent"),
    [(True, None, b"5\r\nhel"), (False, 5, b"hel"), (True, None, b"no HTTP\r\n")],
)
def test_a_body_that_breaks_off_or_is_none_is_an_error_of_the_engine(
    chunked: bool, length: int | None, sent: bytes
) -> None:
    polled, there = body(chunked=chunked, length=length)
    there.sendall(sent)
    there.close()

    with pytest.raises(EngineError):
        read(polled)
