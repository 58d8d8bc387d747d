"""Engines that tests have started end with them, also when the tests are killed by a time limit."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engines import answers
from tests.support.workspaces import ROOT, eventually

SYSTEM_SOCKET = "unix:///run/podman/podman.sock"
#: Answers a ping as Podman does.
ENGINE = """\
#!{python}
import http.server, os, socket, socketserver, sys

path = sys.argv[-1].removeprefix("unix://")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Libpod-API-Version", "4.3.1")
        self.send_header("Content-Length", "0")
        self.end_headers()
    def address_string(self):
        return ""

socketserver.UnixStreamServer(path, Handler).serve_forever()
"""
SESSION = """\
import sys, time
from tests.support import engines
with engines.using_engines():
    print(engines.ensure_engine("podman"), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine on which tests have to start their Podman, which is a small one."""
    if answers(SYSTEM_SOCKET, "podman"):
        pytest.skip("this machine has a Podman that tests need not start")
    program = tmp_path / "bin" / "podman"
    program.parent.mkdir()
    program.write_text(ENGINE.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    outside = ("CONTAINER_HOST", "XDG_RUNTIME_DIR")
    return {key: value for key, value in os.environ.items() if key not in outside} | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "RECONCILER_TEST_RUN": str(tmp_path / "run"),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }


def _session(environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SESSION]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)


def _url(session: subprocess.Popen[str]) -> str:
    assert session.stdout is not None
    return session.stdout.readline().strip()


def _end(session: subprocess.Popen[str], number: signal.Signals) -> None:
    session.send_signal(number)
    session.communicate()


def test_a_killed_session_leaves_no_engine(environment: dict[str, str]) -> None:
    session = _session(environment)
    url = _url(session)
    assert answers(url, "podman")

    _end(session, signal.SIGKILL)

    eventually(lambda: not answers(url, "podman"), "the engine has ended")


def test_an_engine_stays_for_those_who_still_use_it(environment: dict[str, str]) -> None:
    first = _session(environment)
    url = _url(first)
    second = _session(environment)
    assert _url(second) == url

    _end(first, signal.SIGKILL)
    third = _session(environment)
    stayed = _url(third) == url and answers(url, "podman")
    _end(second, signal.SIGKILL)
    _end(third, signal.SIGKILL)

    assert stayed
    eventually(lambda: not answers(url, "podman"), "the engine has ended")
