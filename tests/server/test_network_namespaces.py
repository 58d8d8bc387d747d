"""Sockets in another network namespace: real namespaces, entered as an ordinary user."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reconciler.errors import ListenError
from reconciler.server.network_namespaces import NamespaceEntry, interface_addresses, open_socket_inside

ENVIRONMENT = {"PATH": os.environ["PATH"]}
GATEWAY = "10.83.7.1"
UP = f"ip link set lo up; ip address add {GATEWAY}/24 dev lo; echo; read -r _"
CALL = f"import socket, sys; socket.create_connection(('{GATEWAY}', int(sys.argv[1])), 10).sendall(b'hello')"


@contextmanager
def namespace() -> Iterator[NamespaceEntry]:
    """A namespace with a gateway, for the length of a ``with`` block."""
    process = subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", UP],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not process.stdout.readline():
            pytest.skip("this user may not create a network namespace on this host")
        command = ("nsenter", f"--target={process.pid}", "--user", "--net", "--preserve-credentials")
        yield NamespaceEntry(command=command, environment=ENVIRONMENT)
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def call(entry: NamespaceEntry, port: int) -> None:
    """Connect from inside."""
    done = subprocess.run(
        [*entry.command, sys.executable, "-I", "-S", "-c", CALL, str(port)], check=True, timeout=30
    )
    assert done.returncode == 0


def test_socket_is_reached_from_inside_and_nothing_is_opened_on_the_host() -> None:
    with namespace() as inside, open_socket_inside(inside, GATEWAY, 0) as opened:
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


def test_address_may_come_up_after_its_socket() -> None:
    with namespace() as inside, open_socket_inside(inside, "10.83.8.1", 0) as opened:
        assert opened.getsockname()[0] == "10.83.8.1"


def test_addresses_are_those_of_the_namespace_not_of_the_host() -> None:
    with namespace() as inside, open_socket_inside(inside, GATEWAY, 0) as opened:
        assert interface_addresses(opened) == {"127.0.0.1", GATEWAY}
    with socket.socket() as outside:
        assert GATEWAY not in interface_addresses(outside)
        assert "127.0.0.1" in interface_addresses(outside)


def test_port_of_another_program_is_taken() -> None:
    script = f"import socket, sys; s = socket.create_server(('{GATEWAY}', 7777)); print(flush=True); sys.stdin.read()"
    with namespace() as inside:
        other = subprocess.Popen(
            [*inside.command, sys.executable, "-I", "-S", "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        with other:
            assert other.stdout is not None
            assert other.stdout.readline()
            with pytest.raises(ListenError, match=r"Port 7777 at 10\.83\.7\.1 is taken") as refused:
                open_socket_inside(inside, GATEWAY, 7777)
            other.kill()

    assert refused.value.taken


def test_replacement_has_the_same_port() -> None:
    with namespace() as inside, open_socket_inside(inside, GATEWAY, 0) as first:
        port = first.getsockname()[1]
        with open_socket_inside(inside, GATEWAY, port) as second:
            assert second.getsockname() == first.getsockname()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("/nonexistent/podman", "unshare"), "`/nonexistent/podman unshare` cannot be run: No such file"),
        (("sh", "-c", "echo 'Error: no way in' >&2; exit 125", "podman"), "fails: no way in"),
        (("true",), "`true` fails: it printed nothing"),
    ],
)
def test_error_names_the_command_that_cannot_enter_and_why(command: tuple[str, ...], message: str) -> None:
    with pytest.raises(ListenError) as refused:
        open_socket_inside(NamespaceEntry(command=command, environment=ENVIRONMENT), GATEWAY, 0)

    assert message in str(refused.value)
    assert not refused.value.taken
