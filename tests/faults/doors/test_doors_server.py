"""The endpoints that the daemon opens are for all its jobs: one that holds on to connections keeps nobody out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from reconciler.config.settings import Settings
from reconciler.controller.daemon.webhook import Webhook
from tests.support.manifests import runtime, trainjob
from tests.support.workspaces import Workspace, eventually, unique

pytestmark = pytest.mark.engine

CLIENT = r"""
import os, socket, ssl, sys, threading, time, urllib.parse
url = urllib.parse.urlsplit(os.environ["KUBEFLOW_TRAINER_SERVER_URL"])
context = ssl.create_default_context(cafile=os.environ["KUBEFLOW_TRAINER_SERVER_CA_CERT"])
token = open(os.environ["KUBEFLOW_TRAINER_SERVER_TOKEN"]).read().strip()

def connect():
    plain = socket.create_connection((url.hostname, url.port), 30)
    return context.wrap_socket(plain, server_hostname=url.hostname)
"""
#: Keeps 40 connections at which a request never ends, each opened again when it is closed.
HOSTILE = (
    CLIENT
    + r"""
dripping = set()

def drip(number):
    while True:
        try:
            with connect() as connection:
                connection.sendall(b"POST /x HTTP/1.1\r\nHost: x\r\nX: ")
                dripping.add(number)
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.5)
        except OSError:
            time.sleep(0.2)

for number in range(40):
    threading.Thread(target=drip, args=(number,), daemon=True).start()
while len(dripping) < 30:
    time.sleep(0.1)
open(sys.argv[1], "w").close()
time.sleep(600)
"""
)
HONEST = (
    CLIENT
    + r"""
while not os.path.exists(sys.argv[1]):
    time.sleep(0.1)
body = b'{"trainerStatus": {"progressPercentage": 40, "lastUpdatedTime": "2026-01-02T03:04:05Z"}}'
head = f"POST {url.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
def report():
    connection = connect()
    connection.settimeout(8)
    connection.sendall(head.encode() + body)
    answer = b""
    while piece := connection.recv(65536):
        answer += piece
    return answer.split()[1].decode()

for _ in range(5):
    for last in (False, False, False, True):
        try:
            code = report()
            break
        except (OSError, IndexError):
            # On a machine so busy that its own handshake was slow: again, as other reporters do.
            if last:
                raise
    print("ANSWER", code, flush=True)
"""
)


def test_connections_that_drip_keep_no_other_job_from_reporting(processes: Workspace) -> None:
    """Processes have one address: what one job fills is filled for all."""
    hostile, honest, full = unique("hostile"), unique("honest"), str(processes.root / "full")
    processes.write("rt.yaml", runtime("rt", ""))
    processes.write("hostile.yaml", trainjob(hostile, "rt", "python3", "-c", HOSTILE, full))
    processes.write("honest.yaml", trainjob(honest, "rt", "python3", "-c", HONEST, full))

    with processes.daemon():
        processes.until_phase(honest, "Complete", "Failed")

        assert processes.log(honest, 0) == "ANSWER 200\n" * 5
        assert processes.status(honest)["trainerStatus"]["progressPercentage"] == 40


@contextmanager
def webhook(tmp_path: Path) -> Iterator[int]:
    """The endpoint of ``--git-webhook``; its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = Settings(git_webhook=f"127.0.0.1:{port}", state_dir=tmp_path)
    hook = Webhook(settings, on_push=lambda: None)
    try:
        yield port
    finally:
        hook.close()


def test_connections_that_drip_keep_no_push_out(tmp_path: Path) -> None:
    call = b"POST /hook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    with webhook(tmp_path) as port, ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            with suppress(OSError):
                connection.sendall(b"POST /hook HTTP/1.1\r\nX: ")

        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port), 8) as honest:
                honest.sendall(call)
                answer = b""
                while piece := honest.recv(65536):
                    answer += piece
                assert answer.startswith(b"HTTP/1.1 403"), "it has no secret, and is answered"


def test_a_request_has_one_deadline_however_it_is_cut_in_pieces(tmp_path: Path) -> None:
    with webhook(tmp_path) as port, socket.create_connection(("127.0.0.1", port), 30) as connection:
        closed = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                for byte in b"POST /hook HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000:
                    if closed.wait(0.3):
                        return
                    connection.sendall(bytes((byte,)))

        sender = threading.Thread(target=drip, daemon=True)
        sender.start()
        answer = connection.recv(65536)
        closed.set()
        sender.join(10)

    assert answer.startswith(b"HTTP/1.1 408")
    eventually(lambda: not sender.is_alive(), "the sender has stopped")
