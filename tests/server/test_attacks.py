"""Clients that mean ill, or are merely slow: none of them may cost the others their answers."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time

import pytest

from reconciler.server.certificate_authority import Authority
from tests.server.conftest import DEADLINE
from tests.server.test_http_server import post


def well(dial) -> bool:
    """Whether an honest client gets its answer."""
    wire = dial()
    wire.send(post("/echo/well", headers="Connection: close\n"))
    return wire.answer()[0] == 200


def test_one_who_says_nothing_is_closed(dial):
    assert dial().read_all() == b""


def test_one_who_sends_a_byte_at_a_time_is_closed_after_the_read_time(dial):
    wire = dial()
    began = time.monotonic()

    def drip() -> None:
        try:
            for letter in post("/echo/slow", headers="X-Slow: " + "x" * 500 + "\n"):
                wire.socket.sendall(letter.encode())
                time.sleep(0.05)
        except OSError:
            pass

    threading.Thread(target=drip, daemon=True).start()

    assert b" 408 " in wire.read_all()
    assert time.monotonic() - began < 10


def test_one_whose_body_never_comes_is_closed_after_the_read_time(dial):
    wire = dial()

    wire.send("POST /echo/slow HTTP/1.1\nHost: x\nContent-Length: 100\n\nhalf")

    assert wire.answer()[0] == 408


def test_a_kept_connection_is_closed_after_the_idle_time(dial):
    wire = dial()
    wire.send(post("/echo/a"))
    assert wire.answer()[0] == 200

    assert wire.read_all() == b""


def test_headers_without_end_are_refused(dial):
    wire = dial()

    wire.send("POST /echo/a HTTP/1.1\nHost: x\n" + "".join(f"X-{n}: {'y' * 1000}\n" for n in range(40)))

    assert wire.answer()[0] == 431


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(128, 192)) + b"\r\n\r\n",
        b"GET / HTTP/x\r\n\r\n",
        b"POST /echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /echo/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1e9\r\n\r\n",
        b"POST /echo/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /echo/a HTTP/1.1\r\n folded: x\r\n\r\n",
    ],
)
def test_what_is_no_http_is_a_bad_request(dial, garbage):
    wire = dial()

    wire.socket.sendall(garbage)

    assert wire.read_all().split()[1] in {b"400", b"501"}


def test_a_crowd_of_silent_connections_makes_room_for_an_honest_one(dial):
    crowd = [dial() for _ in range(40)]

    assert well(dial)
    assert len(crowd) == 40


def test_a_crowd_of_half_requests_is_over_after_the_read_time(dial):
    crowd = [dial() for _ in range(40)]
    for wire in crowd:
        try:
            wire.send("POST /echo/a HTTP/1.1\n")
        except OSError:
            continue

    deadline = time.monotonic() + 20
    answered = False
    while not answered and time.monotonic() < deadline:
        try:
            answered = well(dial)
        except (AssertionError, OSError):
            continue  # no room for the moment
    assert answered


def test_one_who_does_not_read_the_answer_is_let_go(dial):
    wire = dial()
    for _ in range(2000):
        try:
            wire.send(post("/echo/" + "n" * 8000))
        except OSError:
            break

    assert well(dial)


def test_a_handshake_that_never_comes_is_closed_and_costs_nobody_else_theirs(tmp_path, server, routes):
    authority = Authority(tmp_path)
    listening = server.listen("127.0.0.1", 0, routes, tls=authority.context("127.0.0.1"))
    place = ("127.0.0.1", listening.port)
    silent = [socket.create_connection(place, timeout=DEADLINE) for _ in range(40)]

    context = ssl.create_default_context(cadata=authority.certificate.decode())
    with context.wrap_socket(
        socket.create_connection(place, timeout=DEADLINE), server_hostname="127.0.0.1"
    ) as honest:
        honest.sendall(post("/echo/a", headers="Connection: close\n").replace("\n", "\r\n").encode())
        answer = honest.recv(65536)

    assert answer.startswith(b"HTTP/1.1 200")
    for one in silent:
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(100) == b""
        one.close()
