"""The HTTP request of a probe: to one address, over in time, whatever is answered there."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler.controller.nodeservices.http_probe import probe_http
from reconciler.controller.nodeservices.probe_failure import OUT_OF_REACH, ProbeFailed
from reconciler.plan.job_plan import ProbePlan
from reconciler.server.certificate_authority import CertificateAuthority
from tests.support.tcp_services import serving_tcp

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#: What a server does with a connection whose request it has read.
Answer = Callable[[socket.socket, bytes], None]


def says(*pieces: bytes) -> Answer:
    def answer(connection: socket.socket, _request: bytes) -> None:
        for piece in pieces:
            connection.sendall(piece)

    return answer


def redirects(location: str, code: int = 302) -> bytes:
    return f"HTTP/1.1 {code} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


class Server:
    """Answers one connection after the other, each as the path of its request says; keeps the requests."""

    def __init__(self, answers: dict[str, Answer], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.port = 0
        self._answers = answers
        self._tls = tls

    def serve(self, connection: socket.socket) -> None:
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(65536)
                if not piece:
                    break
                request += piece
            self.requests.append(request)
            path = request.split(b" ")[1].decode("latin-1") if b" " in request else ""
            self._answers[path if path in self._answers else "*"](connection, request)


@contextmanager
def serving(answers: dict[str, Answer], *, address: str = "127.0.0.1", **options: Any) -> Iterator[Server]:
    server = Server(answers, **options)
    with serving_tcp(server.serve, address) as server.port:
        yield server


def probe(port: int, **fields: Any) -> None:
    probe_http(ProbePlan(**({"http_port": port, "timeout": 20.0} | fields)), "127.0.0.1", source="127.0.0.1")


@pytest.mark.parametrize("code", [200, 204, 299, 304, 399])
def test_any_status_from_200_to_399_passes(code: int) -> None:
    with serving({"*": says(f"HTTP/1.1 {code} Sure\r\n\r\n".encode())}) as server:
        probe(server.port)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"hello, I am HTTP/0.9",
        b"HTTP/1.1 999999 What\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"\x00\xff" * 5000,
        b"",
    ],
)  # fmt: skip
def test_any_other_answer_fails_and_is_no_other_error(answer: bytes) -> None:
    with serving({"*": says(answer)}) as server, pytest.raises(ProbeFailed):
        probe(server.port)


def test_a_closed_port_fails() -> None:
    with serving({}) as server:
        port = server.port

    with pytest.raises(ProbeFailed):
        probe(port)


def test_an_answer_that_drips_is_over_when_the_time_is() -> None:
    def drip(connection: socket.socket, _request: bytes) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
            connection.sendall(bytes((byte,)))
            time.sleep(0.2)

    with serving({"*": drip}) as server, pytest.raises(ProbeFailed, match="within 1 s"):
        probe(server.port, timeout=1.0)


def test_an_endless_body_is_read_to_a_limit_only() -> None:
    sent = 0

    def pour(connection: socket.socket, _request: bytes) -> None:
        nonlocal sent
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent += connection.send(b"x" * 65536)

    with serving({"*": pour}) as server:
        probe(server.port)

    assert sent < 64 * 1024 * 1024


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/up", "up", "http://127.0.0.1:{port}/up", "//127.0.0.1:{port}/up"])
def test_a_redirect_to_the_same_host_is_followed(code: int, location: str) -> None:
    def answer(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(redirects(location.format(port=server.port), code))

    with serving({"/": answer, "/up": says(b"HTTP/1.1 503 No\r\n\r\n")}) as server:
        with pytest.raises(ProbeFailed, match="503"):
            probe(server.port)

        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/",
        "http://localhost:{port}/",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://127.0.0.1@127.0.0.2:{port}/",
        "http://127.0.0.1.:{port}/",
        "http://[::ffff:127.0.0.2]:{port}/",
        "//127.0.0.2:{port}/",
        "https://127.0.0.2:{port}/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1:{port}/_x",
    ],
)
def test_a_redirect_to_another_host_is_not_followed_and_passes(location: str) -> None:
    """As the kubelet does it: the container has answered, and well."""
    with serving({"*": says(OK)}, address="127.0.0.2") as other:
        answer = says(redirects(location.format(port=other.port)))
        with serving({"*": answer}) as server:
            probe(server.port)

            assert len(server.requests) == 1
        assert other.requests == []


def test_redirects_without_end_fail() -> None:
    with serving({"*": says(redirects("/"))}) as server:
        with pytest.raises(ProbeFailed, match="10 redirects"):
            probe(server.port)

        assert len(server.requests) == 10


@pytest.mark.parametrize("location", ["http://[", "http://127.0.0.1:99999/", "http://127.0.0.1:x/", "\x01"])
def test_a_redirect_to_nowhere_fails_or_is_left(location: str) -> None:
    with serving({"*": says(redirects(location), b"")}) as server, suppress(ProbeFailed):
        probe(server.port)


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving({"*": says(OK)}) as proxy, serving({"*": says(OK)}) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")

        probe(server.port)

        assert proxy.requests == []
        assert len(server.requests) == 1


def test_headers_are_sent_and_the_hosts_name_changes_no_address() -> None:
    headers = (("Host", "example.test"), ("X-Probe", "yes"), ("Content-Length", "7"), ("user-agent", "mine"))
    with serving({"*": says(OK)}) as server:
        probe(server.port, http_headers=headers, http_path="/health?full=1")

        head = server.requests[0].decode()
    assert head.startswith("GET /health?full=1 HTTP/1.1\r\n")
    assert "Host: example.test\r\n" in head
    assert "X-Probe: yes\r\n" in head
    assert "user-agent: mine\r\n" in head
    assert "kube-probe" not in head
    assert "Content-Length" not in head


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/", "/"),
        ("health", "/health"),
        ("http://127.0.0.2:80/x?y=1", "/x?y=1"),
        ("//127.0.0.2/x", "/x"),
        ("/a b", "/a%20b"),
        ("/ä", "/%C3%A4"),
        ("/x HTTP/1.1\r\nHost: evil\r\n\r\n", "/x%20HTTP/1.1Host:%20evil"),
        ("@127.0.0.2/", "/@127.0.0.2/"),
    ],
)
def test_a_path_stays_a_path(path: str, target: str) -> None:
    with serving({"*": says(OK)}) as server:
        probe(server.port, http_path=path)

        assert server.requests[0].decode().split("\r\n")[0] == f"GET {target} HTTP/1.1"


@pytest.mark.parametrize("value", ["a\r\nX-More: b", "a\nb", "\x00"])
def test_a_header_that_would_be_two_is_not_sent(value: str) -> None:
    with serving({"*": says(OK)}) as server:
        with pytest.raises(ProbeFailed):
            probe(server.port, http_headers=(("X-One", value),))

        assert not any(b"X-More" in request for request in server.requests)


def test_certificates_are_not_verified(tmp_path: Path) -> None:
    context = CertificateAuthority(tmp_path).server_context("10.1.2.3")
    with serving({"*": says(OK)}, tls=context) as server:
        probe(server.port, http_scheme="HTTPS")


def test_https_to_a_server_without_tls_fails() -> None:
    with serving({"*": says(OK)}) as server, pytest.raises(ProbeFailed):
        probe(server.port, http_scheme="HTTPS", timeout=1.0)


def test_an_address_beyond_this_hosts_networks_is_out_of_reach() -> None:
    """Were it not asked from the network's gateway, 192.0.2.1 could be any machine."""
    plan = ProbePlan(http_port=80, timeout=20.0)

    with pytest.raises(ProbeFailed, match=OUT_OF_REACH):
        probe_http(plan, "192.0.2.7", source="192.0.2.1")
