"""Listeners in a network namespace that the daemon is not in, and that may be replaced by another."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Route

from reconciler.controller.nodeservices.progress import rootless_listeners
from reconciler.controller.nodeservices.progress.bridge_discovery import RECHECK_DELAY
from reconciler.controller.nodeservices.progress.progress_listeners import ProgressListeners
from reconciler.controller.nodeservices.progress.rootless_listeners import RETRY_DELAY, RootlessListeners
from reconciler.engines.podman.rootless_namespace import rootless_namespace_entry
from reconciler.engines.protocol import EngineInfo
from reconciler.errors import ListenError
from reconciler.server.asgi.http_server import Server
from reconciler.server.certificate_authority import CertificateAuthority
from reconciler.server.network_namespaces import NamespaceEntry
from reconciler.server.status_responses import ApiResponse, build_application
from tests.server.test_network_namespaces import GATEWAY, namespace

PODMAN = EngineInfo(name="podman", version="5", host="unix:///run/user/1/podman.sock", rootless=True)
ASK = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cadata=sys.argv[2])
print(urllib.request.urlopen(sys.argv[1], b"", context=context, timeout=10).status)
"""


class Harness:
    """Rootless listeners with an entry and a clock that the test sets."""

    def __init__(self, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.authority = CertificateAuthority(folder)
        app = build_application(Route("/", lambda _request: ApiResponse({}), methods=["POST"]))
        listeners = ProgressListeners(server, self.authority, app, folder=folder, preferred=21_000)
        self.now = 0.0
        self.rechecked: list[str] = []
        self.rootless = RootlessListeners(listeners, clock=lambda: self.now, recheck=self.rechecked.append)
        self.entry: NamespaceEntry | None = None
        self.entries = 0
        monkeypatch.setattr(rootless_listeners, "rootless_namespace_entry", self._entry)

    def _entry(self, _info: EngineInfo, _environment: object) -> NamespaceEntry:
        self.entries += 1
        if self.entry is None:
            raise ListenError("there is no way in")
        return self.entry

    def port(self, *, running: bool) -> int:
        return self.rootless.open(PODMAN, GATEWAY, "team/demo", running=running)

    def is_answered(self, inside: NamespaceEntry, port: int) -> bool:
        """Whether a report from inside the namespace is answered, over TLS for the gateway's address."""
        arguments = (f"https://{GATEWAY}:{port}/", self.authority.certificate.decode())
        done = subprocess.run(
            [*inside.command, sys.executable, "-c", ASK, *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.stdout == "200\n"


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    server = Server()
    yield Harness(tmp_path, server, monkeypatch)
    server.close()


def test_namespace_without_the_gateway_is_replaced_by_the_one_that_has_it(harness: Harness) -> None:
    empty = ("unshare", "--user", "--map-root-user", "--net")
    harness.entry = NamespaceEntry(command=empty, environment={"PATH": "/usr/bin:/bin"})
    port = harness.port(running=False)

    with namespace() as harness.entry:
        assert harness.port(running=True) == port
        assert harness.is_answered(harness.entry, port)
        entries = harness.entries
        assert harness.port(running=True) == port
        assert harness.port(running=False) == port

    assert harness.entries == entries
    assert harness.rechecked == []


def test_networks_in_another_namespace_are_reported(harness: Harness) -> None:
    empty = ("unshare", "--user", "--map-root-user", "--net")
    harness.entry = NamespaceEntry(command=empty, environment={"PATH": "/usr/bin:/bin"})

    harness.port(running=True)
    assert harness.rechecked == ["team/demo"]
    harness.now += RECHECK_DELAY
    harness.port(running=True)

    with pytest.raises(ListenError, match="enters another namespace"):
        harness.port(running=False)


def test_failed_entry_is_not_retried_on_each_pass(harness: Harness) -> None:
    for _ in range(3):
        with pytest.raises(ListenError, match="no way in"):
            harness.port(running=False)
    assert harness.entries == 1

    harness.now += RETRY_DELAY
    with namespace() as harness.entry:
        assert harness.is_answered(harness.entry, harness.port(running=True))


def test_another_users_podman_cannot_be_entered() -> None:
    with pytest.raises(ListenError, match="not this user's") as refused:
        rootless_namespace_entry(PODMAN, {"PATH": "/usr/bin"})

    assert "hostNetwork: true" in refused.value.remedy
