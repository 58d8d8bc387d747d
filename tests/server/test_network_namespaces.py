"""Listeners in a network namespace of somebody else's: real namespaces, entered as an ordinary user would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reconciler.errors import ServingError
from reconciler.server.network_namespaces import Entrance, addresses_of, listen_inside

ENVIRONMENT = {"PATH": os.environ["PATH"]}
GATEWAY = "10.83.7.1"
UP = f"ip link set lo up; ip address add {GATEWAY}/24 dev lo; echo; read -r _"
CALL = f"import socket, sys; socket.create_connection(('{GATEWAY}', int(sys.argv[1])), 10).sendall(b'hello')"


@contextmanager
def namespace() -> Iterator[Entrance]:
    """One with a gateway, that lives for the length of a ``with`` block."""
    process = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", UP],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            pytest.skip("this host lets nobody make a network namespace of its own")
        command = ("nsenter", f"--target={process.pid}", "--user", "--net", "--preserve-credentials")
        yield Entrance(command=command, environment=ENVIRONMENT)
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def call(entrance: Entrance, port: int) -> None:
    """Connect from inside."""
    done = subprocess.run(
        [*entrance.command, sys.executable, "-I", "-S", "-c", CALL, str(port)], check=True, timeout=30
    )
    assert done.returncode == 0


def test_who_is_inside_reaches_it_and_nothing_is_opened_on_the_host() -> None:
    with namespace() as inside, listen_inside(inside, GATEWAY, 0) as opened:
        port = opened.getsockname()[1]
        call(inside, port)
        opened.settimeout(10)
        accepted, peer = opened.accept()
        with accepted:
            accepted.settimeout(10)
            assert (accepted.recv(10), peer[0]) == (b"hello", GATEWAY)
        with socket.socket() as free:
            free.bind(("127.0.0.1", port))
        assert not opened.get_inheritable()


def test_an_address_that_comes_up_later_can_be_had() -> None:
    with namespace() as inside, listen_inside(inside, "10.83.8.1", 0) as opened:
        assert opened.getsockname()[0] == "10.83.8.1"


def test_the_addresses_of_its_namespace_are_told_and_not_the_hosts() -> None:
    with namespace() as inside, listen_inside(inside, GATEWAY, 0) as opened:
        assert addresses_of(opened) == {"127.0.0.1", GATEWAY}
    with socket.socket() as outside:
        assert GATEWAY not in addresses_of(outside)
        assert "127.0.0.1" in addresses_of(outside)


def test_another_programs_port_is_said_to_be_taken() -> None:
    script = f"import socket, sys; s = socket.create_server(('{GATEWAY}', 7777)); print(flush=True); sys.stdin.read()"
    with namespace() as inside:
        other = subprocess.Popen(
            [*inside.command, sys.executable, "-I", "-S", "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        with other:
            assert other.stdout is not None
            assert other.stdout.readline()
            with pytest.raises(ServingError, match=r"Port 7777 at 10\.83\.7\.1 is taken") as refused:
                listen_inside(inside, GATEWAY, 7777)
            other.kill()

    assert refused.value.taken


def test_one_that_replaces_another_has_its_port() -> None:
    with namespace() as inside, listen_inside(inside, GATEWAY, 0) as first:
        port = first.getsockname()[1]
        with listen_inside(inside, GATEWAY, port) as second:
            assert second.getsockname() == first.getsockname()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("/nonexistent/podman", "unshare"), "`/nonexistent/podman unshare` cannot be run: No such file"),
        (("sh", "-c", "echo 'Error: no way in' >&2; exit 125", "podman"), "fails: no way in"),
        (("true",), "`true` fails: it said nothing"),
    ],
)
def test_where_nobody_gets_in_it_says_what_was_tried_and_why(command: tuple[str, ...], said: str) -> None:
    with pytest.raises(ServingError) as refused:
        listen_inside(Entrance(command=command, environment=ENVIRONMENT), GATEWAY, 0)

    assert said in str(refused.value)
    assert not refused.value.taken
