"""Which problems keep the service manager from getting pings, and which do not."""

from __future__ import annotations

import http.client
import http.server
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.config.settings import Settings
from reconciler.controller.clock import HostClock
from reconciler.controller.controller import Controller
from reconciler.controller.daemon.boundaries import Boundary
from reconciler.controller.daemon.sd_notify import Notifier
from reconciler.controller.daemon.service_report import FAULT_PATIENCE, RELIST_PATIENCE, ServiceReporter
from reconciler.engines.discovery import selection
from tests.support import engines

pytestmark = pytest.mark.engine


class Gate(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Before a real engine: passes requests on, or refuses listings, or answers none at all."""

    daemon_threads = True

    def __init__(self, path: Path, target: str) -> None:
        self.target = target.removeprefix("unix://")
        self.refusing = False
        super().__init__(str(path), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Gate

    def do_GET(self) -> None:
        if self.server.refusing and "/containers/json" in self.path:
            status, body = 500, b'{"message": "the store is locked"}'
        else:
            connection = http.client.HTTPConnection("localhost", timeout=60)
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(self.server.target)
            connection.request("GET", self.path)
            answer = connection.getresponse()
            status, body = answer.status, answer.read()
            connection.close()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status < 400:
            self.send_header("Libpod-API-Version", "4.3.1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def address_string(self) -> str:
        return "test"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    try:
        with engines.using_engines():
            one = Gate(Path(f"/tmp/gate-{time.monotonic_ns()}.sock"), engines.ensure_engine("podman"))
            yield one
            one.shutdown()
            one.server_close()
            Path(str(one.server_address)).unlink(missing_ok=True)
    except engines.EngineMissing as error:
        pytest.skip(str(error))


def test_an_engine_that_answers_and_is_never_listed_is_a_problem(gate: Gate, tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    settings = Settings(specs=specs, state_dir=tmp_path / "state", resync=10)
    controller = Controller(settings, clock=HostClock(), on_phase=None)
    now = time.monotonic()
    late = now + RELIST_PATIENCE + 60
    report = ServiceReporter(Notifier(), controller, workers=(), resync=lambda: 10.0, clock=lambda: late)
    engine = selection.create_engine("podman", f"unix://{gate.server_address}")
    try:
        controller.connect(engine)
        controller.informer.relist()
        assert (report.problems(), controller.engine_error) == ([], "")

        gate.refusing = True
        controller.informer.relist()
        (told,) = report.problems()
        assert "answers but cannot be listed" in told
        assert "the store is locked" in told
        assert "the store is locked" in report.status()
        soon = ServiceReporter(
            Notifier(), controller, workers=(), resync=lambda: 10.0, clock=lambda: now + 60
        )
        assert soon.problems() == []

        # An engine that does not answer at all is waited for.
        Path(str(gate.server_address)).unlink()
        controller.informer.relist()
        assert report.problems() == []
        assert report.status().startswith("0 jobs; no engine: ")
    finally:
        controller.close(patience=0)


def test_a_worker_that_has_died_is_a_problem(tmp_path: Path) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    controller = Controller(
        Settings(specs=specs, state_dir=tmp_path / "state"), clock=HostClock(), on_phase=None
    )
    dead = threading.Thread(target=int, name="worker-3")
    dead.start()
    dead.join()

    report = ServiceReporter(
        Notifier(), controller, workers=(threading.current_thread(), dead), resync=lambda: 30.0
    )

    assert report.problems() == ["the thread worker-3 has ended"]
    controller.close(patience=0)


def test_a_part_that_fails_for_minutes_by_a_mistake_of_this_program_stops_the_pings_and_a_full_disk_does_not(
    tmp_path: Path,
) -> None:
    now = time.monotonic()
    settings = Settings(specs=tmp_path / "specs", state_dir=tmp_path / "state")
    controller = Controller(settings, clock=HostClock(), on_phase=None)
    broken, refused = Boundary("reading", clock=lambda: now), Boundary("writing", clock=lambda: now)

    def fail(error: Exception) -> None:
        raise error

    broken.run(lambda: fail(KeyError("a mistake")))
    refused.run(lambda: fail(OSError(28, "No space left on device")))
    later = [now]
    report = ServiceReporter(
        Notifier(),
        controller,
        workers=[],
        parts={"reading": broken, "writing": refused},
        resync=lambda: 30.0,
        clock=lambda: later[0],
    )

    assert report.problems() == []
    later[0] += FAULT_PATIENCE + 1

    assert report.problems() == ["reading fails by an error of this program"]
