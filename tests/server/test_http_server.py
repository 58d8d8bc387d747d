"""Requests and answers over real sockets."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, suppress

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.errors import ListenError
from reconciler.server.asgi.http_server import HANDLER_THREADS
from reconciler.server.bearer_tokens import bearer_token, load_or_create_token
from reconciler.server.status_responses import build_application
from tests.server.conftest import DEADLINE, Wire


def post(path: str, body: str = "", headers: str = "") -> str:
    return f"POST {path} HTTP/1.1\nHost: x\nContent-Length: {len(body)}\n{headers}\n{body}"


def test_request_has_its_path_parameters_and_body(dial):
    wire = dial()

    wire.send(post("/echo/demo", "12345"))

    assert wire.answer() == (200, {"name": "demo", "bytes": 5})


def test_connection_takes_many_requests(dial):
    wire = dial()

    for number in range(3):
        wire.send(post("/echo/a", "x" * number))
        assert wire.answer() == (200, {"name": "a", "bytes": number})


def test_pipelined_requests_are_answered_in_order(dial):
    wire = dial()

    wire.send(post("/echo/a", "1") + post("/echo/b", "22") + post("/echo/c", headers="Connection: close\n"))

    text = wire.read_all().decode()
    assert [text.find(f'"name":"{name}"') for name in "abc"] == sorted(
        text.find(f'"name":"{n}"') for n in "abc"
    )
    assert text.count("HTTP/1.1 200") == 3


def test_chunked_body_is_read_completely(dial):
    wire = dial()

    wire.send("POST /echo/a HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\n\n3\nabc\n2\nde\n0\n\n")

    assert wire.answer() == (200, {"name": "a", "bytes": 5})


def test_client_that_expects_100_continue_gets_it(dial):
    wire = dial()

    wire.send("POST /echo/a HTTP/1.1\nHost: x\nContent-Length: 2\nExpect: 100-continue\n\n")

    assert wire.socket.recv(100).startswith(b"HTTP/1.1 100")
    wire.send("ab")
    assert wire.answer() == (200, {"name": "a", "bytes": 2})


@pytest.mark.parametrize(
    "request_line", ["GET /echo/a", "POST /nowhere", "POST /echo/a/", "POST /echo/a/b", "DELETE /echo/a"]
)
def test_unknown_path_or_method_is_not_found(dial, request_line):
    wire = dial()

    wire.send(f"{request_line} HTTP/1.1\nHost: x\nContent-Length: 0\n\n")

    status = {"status": "Failure", "message": "Not found", "reason": "NotFound", "code": 404}
    assert wire.answer() == (404, status)


def test_refusal_is_answered_before_the_body_is_read(dial):
    wire = dial()

    wire.send("POST /closed HTTP/1.1\nHost: x\nContent-Length: 60000\n\n")  # and sends none of them

    assert wire.answer() == (
        403,
        {"status": "Failure", "message": "Forbidden", "reason": "Forbidden", "code": 403},
    )


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_body_is_refused_and_the_client_can_read_the_answer(dial, chunked):
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


def test_body_of_exactly_the_limit_is_accepted(dial, limits):
    wire = dial()

    wire.send(post("/echo/a", "x" * limits.body))

    assert wire.answer() == (200, {"name": "a", "bytes": 65_536})


def test_failing_endpoint_is_an_internal_error_and_the_connection_stays_open(dial):
    wire = dial()

    wire.send("GET /broken HTTP/1.1\nHost: x\n\n")
    assert wire.answer() == (
        500,
        {"status": "Failure", "message": "Internal error", "reason": "InternalError", "code": 500},
    )

    wire.send(post("/echo/a"))
    assert wire.answer()[0] == 200


def test_endpoints_that_block_share_few_threads_and_delay_no_other(server):
    running: list[int] = []
    release = threading.Event()

    def block(_request: Request) -> Response:
        running.append(1)
        release.wait(DEADLINE)
        return Response()

    async def answer(_request: Request) -> Response:
        return Response()

    app = build_application(Route("/block", block), Route("/", answer))
    listener = server.listen("127.0.0.1", 0, app)
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire.connect(listener.port)) for _ in range(5)]
        for wire in wires[:4]:
            wire.send("GET /block HTTP/1.1\nHost: x\n\n")
        wires[4].send("GET / HTTP/1.1\nHost: x\nConnection: close\n\n")

        assert wires[4].read_all().startswith(b"HTTP/1.1 200")
        assert len(running) <= HANDLER_THREADS

        release.set()
        assert all(wire.socket.recv(100).startswith(b"HTTP/1.1 200") for wire in wires[:4])
    assert len(running) == 4


def test_taken_port_is_an_error_with_a_remedy(server, app):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(ListenError, match=f"Port {port} at 127.0.0.1 is taken") as caught:
            server.listen("127.0.0.1", port, app)

    assert caught.value.taken


@pytest.mark.parametrize(
    ("address", "message"), [("192.0.2.1", "no address of this host"), ("0.0.0.0", "every")]
)
def test_address_of_another_host_or_of_all_is_refused(server, app, address, message):
    with pytest.raises(ListenError, match=message):
        server.listen(address, 0, app)


def test_address_may_come_up_after_its_listener(server, app):
    assert server.listen("192.0.2.1", 0, app, freebind=True).port


def test_stopped_listener_frees_its_port(server, app):
    listener = server.listen("127.0.0.1", 0, app)
    server.stop(listener)

    deadline = time.monotonic() + DEADLINE
    again = None
    while again is None and time.monotonic() < deadline:
        with suppress(ListenError):
            again = server.listen("127.0.0.1", listener.port, app)
    assert again is not None


def test_closed_server_opens_nothing_but_returns_a_port(server, app):
    before = server.listen("127.0.0.1", 0, app)
    server.close()

    after = server.listen("127.0.0.1", 0, app)

    assert after.port
    for port in (before.port, after.port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)


def test_a_token_is_created_once_and_private(tmp_path):
    path = tmp_path / "deep" / "token"

    created = load_or_create_token(path)

    assert len(created) > 40
    assert load_or_create_token(path) == created
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer x", "x"), ("bearer x", "x"), ("Basic x", ""), ("x", ""), ("", ""), ("Bearer ", "")],
)
def test_the_token_is_that_of_a_bearer_header_only(header, token):
    assert bearer_token({"authorization": header}) == token
