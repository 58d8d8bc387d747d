"""The sd_notify protocol: what the environment asks for, and a manager that does not listen."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from reconciler.controller.daemon.sd_notify import Notifier, from_environment


@pytest.mark.parametrize(
    ("environ", "address", "watchdog"),
    [
        ({}, "", None),
        ({"NOTIFY_SOCKET": "/run/n"}, "/run/n", None),
        ({"NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "2500000"}, "@n", 2.5),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, "/n", 1.0),
        # Meant for another process, of which this is a child.
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, "/n", None),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, "/n", None),
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, "", None),
        ({"WATCHDOG_USEC": "1000000"}, "", None),
    ],
)
def test_the_environment_names_the_socket_and_the_watchdog(environ, address, watchdog) -> None:
    found = from_environment(environ)

    assert (found.address, found.watchdog) == (address, watchdog)
    assert environ == {}, "a child process must not find them"


def test_a_line_break_in_a_value_begins_no_other_field(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        Notifier(address=str(tmp_path / "n")).ready("one\nMAINPID=1\n two")

        assert listener.recv(4096) == b"READY=1\nSTATUS=one MAINPID=1 two"


def test_a_manager_that_does_not_read_does_not_block(tmp_path: Path) -> None:
    notifier = Notifier(address=str(tmp_path / "n"))
    notifier.ping()  # nothing listens
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "n"))
        for _ in range(10_000):  # nothing reads
            notifier.ping()

        assert listener.recv(4096) == b"WATCHDOG=1"
