"""Hostile and slow clients: none of them may keep another from being answered."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time

import pytest

from reconciler.server.certificate_authority import CertificateAuthority
from tests.server.conftest import DEADLINE
from tests.server.test_http_server import post


def is_answered(dial) -> bool:
    """Whether an ordinary client gets its answer."""
    wire = dial()
    wire.send(post("/echo/a", headers="Connection: close\n"))
    return wire.answer()[0] == 200


def test_silent_connection_is_closed(dial):
    assert dial().read_all() == b""


def test_request_sent_a_byte_at_a_time_is_refused_after_the_read_time(dial):
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


def test_request_whose_body_never_comes_is_refused_after_the_read_time(dial):
    wire = dial()

    wire.send("POST /echo/slow HTTP/1.1\nHost: x\nContent-Length: 100\n\nhalf")

    assert wire.answer()[0] == 408


def test_kept_connection_is_closed_after_the_idle_time(dial):
    wire = dial()
    wire.send(post("/echo/a"))
    assert wire.answer()[0] == 200

    assert wire.read_all() == b""


def test_endless_headers_are_refused(dial):
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
def test_malformed_request_is_a_bad_request(dial, garbage):
    wire = dial()

    wire.socket.sendall(garbage)

    assert wire.read_all().split()[1] in {b"400", b"501"}


def test_many_silent_connections_make_room_for_an_ordinary_one(dial):
    crowd = [dial() for _ in range(40)]

    assert is_answered(dial)
    assert len(crowd) == 40


def test_many_incomplete_requests_end_after_the_read_time(dial):
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
            answered = is_answered(dial)
        except (AssertionError, OSError):
            continue  # no room for the moment
    assert answered


def test_client_that_does_not_read_its_answers_is_closed(dial):
    wire = dial()
    for _ in range(2000):
        try:
            wire.send(post("/echo/" + "n" * 8000))
        except OSError:
            break

    assert is_answered(dial)


def test_clients_that_never_read_a_large_answer_do_not_keep_their_places(dial, limits):
    crowd = [dial() for _ in range(limits.per_peer)]
    for wire in crowd:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.send("GET /large HTTP/1.1\nHost: x\nConnection: close\n\n")
        assert wire.socket.recv(12) == b"HTTP/1.1 200"

    deadline = time.monotonic() + 10 * limits.write
    answered = False
    while not answered and time.monotonic() < deadline:
        with contextlib.suppress(AssertionError, OSError):
            answered = is_answered(dial)
    assert answered


def test_connections_without_a_tls_handshake_are_closed_and_delay_no_other(tmp_path, server, app):
    authority = CertificateAuthority(tmp_path)
    listener = server.listen("127.0.0.1", 0, app, tls=authority.server_context("127.0.0.1"))
    place = ("127.0.0.1", listener.port)
    silent = [socket.create_connection(place, timeout=DEADLINE) for _ in range(40)]

    context = ssl.create_default_context(cadata=authority.certificate.decode())
    with context.wrap_socket(
        socket.create_connection(place, timeout=DEADLINE), server_hostname="127.0.0.1"
    ) as ordinary:
        ordinary.sendall(post("/echo/a", headers="Connection: close\n").replace("\n", "\r\n").encode())
        answer = ordinary.recv(65536)

    assert answer.startswith(b"HTTP/1.1 200")
    for one in silent:
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(100) == b""
        one.close()
