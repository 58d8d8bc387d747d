"""Which engine is selected, and the error when none answers."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from reconciler.engines.discovery import engine_addresses, ping, selection
from reconciler.engines.discovery.selection import Kind, connect
from reconciler.engines.docker.docker_engine import DockerEngine
from reconciler.engines.podman.podman_engine import PodmanEngine
from reconciler.errors import ConfigError, EngineUnavailable

HOME = Path("/home/u")


class Machine:
    """A machine on which nothing but these engines answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answering: dict[str, Kind] = {}
        self.clients = {"docker", "podman"}
        for name in ("DOCKER_HOST", "CONTAINER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "TMPDIR"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(HOME))
        monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
        monkeypatch.setattr(ping, "identify_engine", self._identify_engine)
        monkeypatch.setattr(selection, "_has_client", self.clients.__contains__)

    def _identify_engine(self, url: str) -> Kind:
        if url not in self.answering:
            raise ping.NoAnswer("there is no such socket")
        return self.answering[url]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


DOCKER = "unix:///var/run/docker.sock"
PODMAN = "unix:///run/podman/podman.sock"


def selected(engine: str, host: str | None = None) -> tuple[str, str]:
    found = connect(engine, host)
    assert isinstance(found, (DockerEngine, PodmanEngine))
    return found.name, found.url


def test_auto_prefers_docker(machine: Machine) -> None:
    machine.answering = {DOCKER: "docker", PODMAN: "podman"}

    assert selected("auto") == ("docker", DOCKER)


def test_auto_takes_podman_where_docker_does_not_answer(machine: Machine) -> None:
    machine.answering = {PODMAN: "podman"}

    assert selected("auto") == ("podman", PODMAN)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("podman", "unix:///run/user/7/podman/podman.sock"),
        ("podman", "unix:///run/podman/podman.sock"),
        ("docker", "unix:///var/run/docker.sock"),
        ("docker", "unix:///run/user/7/docker.sock"),
        ("docker", f"unix://{HOME}/.colima/default/docker.sock"),
        ("docker", f"unix://{HOME}/.docker/run/docker.sock"),
    ],
)
def test_usual_sockets_are_found(machine: Machine, kind: Kind, url: str) -> None:
    machine.answering = {url: kind}

    assert selected("auto") == (kind, url)
    assert selected(kind) == (kind, url)


def test_rootless_podman_comes_before_rootful(machine: Machine) -> None:
    rootless = "unix:///run/user/7/podman/podman.sock"
    machine.answering = {rootless: "podman", PODMAN: "podman"}

    assert selected("podman")[1] == rootless


def test_variables_set_the_address(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.answering = {
        DOCKER: "docker",
        PODMAN: "podman",
        "unix:///tmp/d": "docker",
        "tcp://h:1": "podman",
    }
    monkeypatch.setenv("DOCKER_HOST", "unix:///tmp/d")
    monkeypatch.setenv("CONTAINER_HOST", "tcp://h:1")

    assert selected("docker") == ("docker", "unix:///tmp/d")
    assert selected("podman") == ("podman", "tcp://h:1")
    assert selected("auto") == ("docker", "unix:///tmp/d")


def test_the_container_host_wins_over_everything(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.answering = {DOCKER: "docker", "unix:///x": "podman"}
    monkeypatch.setenv("DOCKER_HOST", DOCKER)

    assert selected("auto", "unix:///x") == ("podman", "unix:///x")
    assert selected("podman", "/x") == ("podman", "unix:///x")


def test_podman_behind_dockers_socket_is_podman(machine: Machine) -> None:
    machine.answering = {DOCKER: "podman"}

    assert selected("auto") == ("podman", DOCKER)


def test_an_engine_of_the_other_kind_is_not_selected(machine: Machine) -> None:
    machine.answering = {"unix:///x": "podman"}

    with pytest.raises(EngineUnavailable, match="Podman answers there: use `--engine podman`"):
        connect("docker", "unix:///x")


def test_a_missing_python_client_is_reported(machine: Machine) -> None:
    machine.answering = {PODMAN: "podman"}
    machine.clients.clear()

    with pytest.raises(EngineUnavailable) as refused:
        connect("auto")

    assert refused.value.message == f"Podman answers at {PODMAN}, but its Python client is not installed."
    assert refused.value.remedy == "pip install 'trainjob-reconciler[podman]'"


def test_auto_selects_the_engine_whose_client_is_installed(machine: Machine) -> None:
    machine.answering = {DOCKER: "docker", PODMAN: "podman"}
    machine.clients.remove("docker")

    assert selected("auto") == ("podman", PODMAN)


def test_a_missing_python_client_is_reported_over_ssh(machine: Machine, monkeypatch) -> None:
    monkeypatch.setattr(ping, "check_ssh", lambda _url: None)
    machine.clients.clear()

    with pytest.raises(EngineUnavailable, match="Podman's Python client is not installed"):
        connect("podman", "ssh://u@h/run/podman.sock")


@pytest.mark.usefixtures("machine")
def test_the_error_lists_addresses_and_start_commands() -> None:
    with pytest.raises(EngineUnavailable) as refused:
        connect("auto")

    for url in (DOCKER, PODMAN, "unix:///run/user/7/podman/podman.sock"):
        assert f"{url} (there is no such socket)" in refused.value.message
    assert "systemctl --user enable --now podman.socket" in refused.value.remedy
    assert "podman system service --time=0 unix://" in refused.value.remedy
    assert "sudo systemctl start docker" in refused.value.remedy


def test_the_error_names_only_the_engine_asked_for(machine: Machine) -> None:
    machine.answering = {DOCKER: "docker"}

    with pytest.raises(EngineUnavailable) as refused:
        connect("podman")

    assert "docker" not in str(refused.value).lower()


@pytest.mark.parametrize("host", ["npipe:////./pipe/docker", "nonsense", "unix://", "ftp://x"])
def test_an_invalid_address_is_a_configuration_error(host: str) -> None:
    with pytest.raises(ConfigError, match="unix:///path"):
        connect("auto", host)


def test_an_unknown_engine_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="auto, docker, podman, process"):
        connect("kubernetes")


def test_the_current_docker_context_comes_first(tmp_path: Path) -> None:
    folder = tmp_path / ".docker"
    meta = folder / "contexts" / "meta" / hashlib.sha256(b"colima").hexdigest()
    meta.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"currentContext": "colima"}))
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": "unix:///c.sock"}}}))

    assert engine_addresses.docker_addresses({}, tmp_path, uid=1)[0] == "unix:///c.sock"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"currentContext": "gone"}', '{"currentContext": 3}'])
def test_a_damaged_docker_configuration_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(text)

    assert engine_addresses.docker_addresses({}, tmp_path, uid=1)[0] == DOCKER


def test_podman_machines_are_found(tmp_path: Path) -> None:
    machine = tmp_path / ".local/share/containers/podman/machine/qemu"
    machine.mkdir(parents=True)
    (machine / "podman.sock").touch()
    (tmp_path / "t" / "podman").mkdir(parents=True)
    (tmp_path / "t" / "podman" / "default-api.sock").touch()

    found = engine_addresses.podman_addresses({"TMPDIR": str(tmp_path / "t")}, tmp_path, uid=1)

    assert f"unix://{machine}/podman.sock" in found
    assert f"unix://{tmp_path}/t/podman/default-api.sock" in found


def test_a_failing_ssh_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ssh"
    program.write_text("#!/bin/sh\necho 'ssh: Connection refused' >&2\nexit 255\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    for engine in ("docker", "podman", "auto"):
        with pytest.raises(
            EngineUnavailable, match="ssh: Connection refused; ssh must work without a password"
        ):
            connect(engine, "ssh://u@host:22/run/podman/podman.sock")


# --- who answers at a socket


@contextmanager
def answering(path: Path, headers: Mapping[str, str], status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def address_string(self) -> str:
            return ""

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingUnixStreamServer(str(path), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"unix://{path}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Api-Version": "1.41", "Libpod-API-Version": "5.4.0"}, "podman"),
        ({"Api-Version": "1.51", "Docker-Experimental": "false"}, "docker"),
    ],
)
def test_podman_and_docker_are_told_apart_by_headers(
    short_path: Path, headers: dict[str, str], kind: str
) -> None:
    with answering(short_path / "s", headers) as url:
        assert ping.identify_engine(url) == kind


def test_another_server_at_the_socket_is_no_engine(short_path: Path) -> None:
    with (
        answering(short_path / "s", {}, status=404) as url,
        pytest.raises(ping.NoAnswer, match="neither Podman nor Docker"),
    ):
        ping.identify_engine(url)


def test_a_missing_socket_and_a_refused_connection_are_told_apart(short_path: Path) -> None:
    with pytest.raises(ping.NoAnswer, match="no such socket"):
        ping.identify_engine(f"unix://{short_path}/s")
    with answering(short_path / "s", {}):
        pass
    with pytest.raises(ping.NoAnswer, match="nobody listens"):
        ping.identify_engine(f"unix://{short_path}/s")
    with pytest.raises(ping.NoAnswer, match="refused"):
        ping.identify_engine("tcp://127.0.0.1:1")


@pytest.mark.engine
@pytest.mark.parametrize("kind", ["podman", "docker"])
def test_a_real_engine_is_recognized(engine_url: Callable[[str], str], kind: str) -> None:
    found = connect("auto", engine_url(kind))

    assert found.name == kind
    info = found.info()
    assert (info.name, info.host) == (kind, engine_url(kind))
    assert info.version[0].isdigit()
    assert info.cpus >= 1
    assert info.memory > 1 << 28
    found.close()


@pytest.mark.parametrize("make", [PodmanEngine, DockerEngine])
def test_every_call_without_an_engine_raises_how_to_start_it(
    make: type[PodmanEngine | DockerEngine], short_path: Path
) -> None:
    engine = make(f"unix://{short_path}/gone.sock")
    calls: list[Callable[[], object]] = [
        engine.info,
        engine.events,
        lambda: engine.list_containers({"a": "b"}),
        lambda: engine.list_networks({"a": "b"}),
        lambda: engine.list_volumes({"a": "b"}),
        lambda: engine.image_exists("x"),
        lambda: engine.start_container("x"),
        lambda: engine.remove_container("x"),
        lambda: engine.logs("x", follow=True),
    ]

    for call in calls:
        with pytest.raises(EngineUnavailable, match=r"gone\.sock: No such file") as refused:
            call()
        assert "Start " in refused.value.remedy
