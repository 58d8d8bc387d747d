"""Progress from a namespace that the daemon is not in: it is followed when it is another one than before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.controller.nodeservices.progress import rootless_listeners
from reconciler.controller.nodeservices.progress.bridge_discovery import DOUBT
from reconciler.controller.nodeservices.progress.progress_listeners import Listeners
from reconciler.controller.nodeservices.progress.rootless_listeners import RETRY, RootlessNetworks
from reconciler.engines.podman.rootless_namespace import entrance
from reconciler.engines.protocol import EngineInfo
from reconciler.errors import ServingError
from reconciler.server.certificate_authority import Authority
from reconciler.server.http_server import Server
from reconciler.server.messages import Head, Request, Response, as_json
from reconciler.server.network_namespaces import Entrance
from reconciler.server.routing import Route, Routes
from tests.server.test_network_namespaces import GATEWAY, namespace

PODMAN = EngineInfo(name="podman", version="5", host="unix:///run/user/1/podman.sock", rootless=True)
ASK = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cadata=sys.argv[2])
print(urllib.request.urlopen(sys.argv[1], b"", context=context, timeout=10).status)
"""


class Bench:
    """Networks whose way in and whose time the test says."""

    def __init__(self, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.authority = Authority(folder)
        routes = Routes(Route("POST", "/", _answer, admit=_admit))
        listeners = Listeners(server, self.authority, routes, folder=folder, preferred=21_000)
        self.now = 0.0
        self.doubted: list[str] = []
        self.networks = RootlessNetworks(listeners, clock=lambda: self.now, doubt=self.doubted.append)
        self.way: Entrance | None = None
        self.tried = 0
        monkeypatch.setattr(rootless_listeners, "entrance", self._entrance)

    def _entrance(self, _info: EngineInfo, _environment: object) -> Entrance:
        self.tried += 1
        if self.way is None:
            raise ServingError("there is no way in")
        return self.way

    def port(self, *, running: bool) -> int:
        return self.networks.port(PODMAN, GATEWAY, "team/demo", running=running)

    def heard(self, inside: Entrance, port: int) -> bool:
        """Whether a report from inside is answered, over TLS that names the gateway."""
        arguments = (f"https://{GATEWAY}:{port}/", self.authority.certificate.decode())
        done = subprocess.run(
            [*inside.command, sys.executable, "-c", ASK, *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout == "200\n"


def _answer(_request: Request) -> Response:
    return as_json({})


def _admit(_head: Head) -> Response | None:
    return None


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    server = Server()
    yield Bench(tmp_path, server, monkeypatch)
    server.close()


def test_a_namespace_without_the_gateway_of_what_runs_is_left_for_the_one_that_has_it(bench: Bench) -> None:
    empty = ("unshare", "--user", "--map-root-user", "--net")
    bench.way = Entrance(command=empty, environment={"PATH": "/usr/bin:/bin"})
    port = bench.port(running=False)

    with namespace() as bench.way:
        assert bench.port(running=True) == port
        assert bench.heard(bench.way, port)
        tried = bench.tried
        assert bench.port(running=True) == port
        assert bench.port(running=False) == port

    assert bench.tried == tried
    assert bench.doubted == []


def test_networks_that_are_in_no_namespace_of_this_podman_are_told(bench: Bench) -> None:
    empty = ("unshare", "--user", "--map-root-user", "--net")
    bench.way = Entrance(command=empty, environment={"PATH": "/usr/bin:/bin"})

    bench.port(running=True)
    assert bench.doubted == ["team/demo"]
    bench.now += DOUBT
    bench.port(running=True)

    with pytest.raises(ServingError, match="enters another namespace"):
        bench.port(running=False)


def test_what_failed_is_not_tried_again_on_each_pass(bench: Bench) -> None:
    for _ in range(3):
        with pytest.raises(ServingError, match="no way in"):
            bench.port(running=False)
    assert bench.tried == 1

    bench.now += RETRY
    with namespace() as bench.way:
        assert bench.heard(bench.way, bench.port(running=True))


def test_another_users_podman_is_no_way_in() -> None:
    with pytest.raises(ServingError, match="not this user's") as refused:
        entrance(PODMAN, {"PATH": "/usr/bin"})

    assert "hostNetwork: true" in refused.value.remedy
