"""Requests and answers over real sockets."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import pytest

from reconciler.errors import ServingError
from reconciler.server.bearer_tokens import BearerToken
from reconciler.server.messages import Head
from reconciler.server.routing import Routes
from tests.server.conftest import DEADLINE


def post(path: str, body: str = "", headers: str = "") -> str:
    return f"POST {path} HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n{headers}\n{body}"


def test_a_request_gets_its_route_parameters_and_body(dial):
    wire = dial()

    wire.send(post("/echo/demo", "12345"))

    assert wire.answer() == (200, {"name": "demo", "bytes": 5})


def test_one_connection_takes_many_requests(dial):
    wire = dial()

    for number in range(3):
        wire.send(post("/echo/a", "x" * number))
        assert wire.answer() == (200, {"name": "a", "bytes": number})


def test_requests_sent_ahead_are_answered_in_order(dial):
    wire = dial()

    wire.send(post("/echo/a", "1") + post("/echo/b", "22") + post("/echo/c", headers="Connection: close\n"))

    text = wire.read_all().decode()
    assert [text.find(f'"name":"{name}"') for name in "abc"] == sorted(
        text.find(f'"name":"{n}"') for n in "abc"
    )
    assert text.count("HTTP/1.1 200") == 3


def test_a_chunked_body_is_read_as_a_whole(dial):
    wire = dial()

    wire.send("POST /echo/a HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\nabc\n2\nde\n0\n\n")

    assert wire.answer() == (200, {"name": "a", "bytes": 5})


def test_one_who_waits_for_continue_is_told_to_go_on(dial):
    wire = dial()

    wire.send("POST /echo/a HTTP/1.1\nHost: x\nContent-Length: 2\nExpect: 100-continue\n\n")

    assert wire.socket.recv(100).startswith(b"HTTP/1.1 100")
    wire.send("ab")
    assert wire.answer() == (200, {"name": "a", "bytes": 2})


@pytest.mark.parametrize("request_line", ["GET /echo/a", "POST /nowhere", "POST /echo/a/b", "DELETE /echo/a"])
def test_anything_that_is_no_endpoint_is_not_found(dial, request_line):
    wire = dial()

    wire.send(f"{request_line} HTTP/1.1\nHost: x\nContent-Length: 0\n\n")

    status = {"status": "Failure", "message": "Not found", "reason": "NotFound", "code": 404}
    assert wire.answer() == (404, status)


def test_a_stranger_is_refused_before_the_body_is_read(dial):
    wire = dial()

    wire.send("POST /closed HTTP/1.1\nHost: x\nContent-Length: 60000\n\n")  # and sends none of them

    assert wire.answer() == (
        403,
        {"status": "Failure", "message": "Forbidden", "reason": "Forbidden", "code": 403},
    )


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_and_the_client_gets_to_read_it(dial, chunked):
    wire = dial()
    size = 1_000_000
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    body = f"{size:x}\n{'x' * size}\n0\n\n" if chunked else "x" * size

    wire.send(f"POST /echo/a HTTP/1.1\nHost: x\n{length}\n\n{body}")

    assert wire.answer()[1] == {
        "status": "Failure",
        "message": "Payload too large",
        "reason": "RequestEntityTooLarge",
        "code": 413,
    }


def test_a_body_of_exactly_the_limit_is_taken(dial, limits):
    wire = dial()

    wire.send(post("/echo/a", "x" * limits.body))

    assert wire.answer() == (200, {"name": "a", "bytes": 65_536})


def test_an_endpoint_that_fails_is_an_internal_error_and_the_connection_goes_on(dial):
    wire = dial()

    wire.send("GET /broken HTTP/1.1\nHost: x\n\n")
    assert wire.answer() == (
        500,
        {"status": "Failure", "message": "Internal error", "reason": "InternalError", "code": 500},
    )

    wire.send(post("/echo/a"))
    assert wire.answer()[0] == 200


def test_a_port_that_is_taken_is_said_with_how_to_find_who_has_it(server, routes):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(ServingError, match=f"Port {port} at 127.0.0.1 is taken") as caught:
            server.listen("127.0.0.1", port, routes)

    assert caught.value.taken


@pytest.mark.parametrize(
    ("address", "said"), [("192.0.2.1", "no address of this host"), ("0.0.0.0", "every")]
)
def test_an_address_that_will_not_do_is_refused(server, routes, address, said):
    with pytest.raises(ServingError, match=said):
        server.listen(address, 0, routes)


def test_an_address_may_come_up_after_its_listener(server, routes):
    assert server.listen("192.0.2.1", 0, routes, early=True).port


def test_a_stopped_listener_gives_its_port_back(server, routes):
    listening = server.listen("127.0.0.1", 0, routes)
    server.stop(listening)

    deadline = time.monotonic() + DEADLINE
    again = None
    while again is None and time.monotonic() < deadline:
        with suppress(ServingError):
            again = server.listen("127.0.0.1", listening.port, Routes())
    assert again is not None


def test_one_that_is_closed_listens_no_more_but_says_where_it_would(server, routes):
    before = server.listen("127.0.0.1", 0, routes)
    server.close()

    after = server.listen("127.0.0.1", 0, routes)

    assert after.port
    for port in (before.port, after.port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def test_a_kept_token_is_made_once_private_and_admits_its_bearer_only(tmp_path):
    path = tmp_path / "deep" / "token"

    made = BearerToken.kept(path)
    again = BearerToken.kept(path)

    assert made == again
    assert path.stat().st_mode & 0o777 == 0o600
    admitted = [
        made.admit(Head(method="POST", path="/", headers={"authorization": value})) is None
        for value in (
            f"Bearer {made.secret}",
            f"bearer {made.secret}",
            "Bearer x",
            made.secret,
            "",
            "Bearer ",
        )
    ]
    assert admitted == [True, True, False, False, False, False]
