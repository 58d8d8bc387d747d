"""Checks for when no engine answers: what is wrong, and the command for this machine."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.doctor.check import Check
from reconciler.cli.doctor.engine_socket_checks import engine_socket_checks, start_command
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings

RUNTIME = {"XDG_RUNTIME_DIR": "/run/user/1000"}
SYSTEMD = {"run/systemd/system/x": "", "run/user/1000/bus": ""}
PODMAN = {"usr/bin/podman": "", "usr/bin/dockerd": ""}
SOCKET = "run/user/1000/podman/podman.sock"


@pytest.fixture
def short_root() -> Iterator[Path]:
    """A root with a short name: a socket's path may have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="m-") as folder:
        yield Path(folder)


def run_checks(place: Machine, engine: str = "podman") -> dict[str, Check]:
    found = engine_socket_checks(Settings(engine=engine), place, environment=RUNTIME, home=Path("/home/me"))
    return {check.name: check for check in found}


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ("ID=ubuntu\nID_LIKE=debian\n", "sudo apt-get install -y podman uidmap"),
        ('ID="rhel"\n', "sudo dnf install -y podman"),
        ("ID=arch\n", "sudo pacman -S --needed podman"),
        ("ID=other\n", "Install podman"),
    ],
)
def test_missing_podman_is_installed_with_this_systems_package_manager(machine, release, words):
    found = run_checks(machine({"etc/os-release": release}))["Podman"]

    assert found.status == "fail"
    assert found.remedy.startswith(words)


def test_one_missing_engine_of_two_only_warns(machine):
    found = run_checks(machine({}), "auto")

    assert {name: check.status for name, check in found.items()} == {"Docker": "warn", "Podman": "warn"}


@pytest.mark.parametrize(
    ("files", "facts", "remedy"),
    [
        (SYSTEMD, {}, "systemctl --user enable --now podman.socket"),
        ({"run/systemd/system/x": ""}, {}, "sudo loginctl enable-linger me, then systemctl --user"),
        ({}, {}, "mkdir -p /run/user/1000/podman && podman system service --time=0 unix:///run/user/1000/"),
        (SYSTEMD, {"uid": 0, "user": "root"}, "systemctl enable --now podman.socket"),
    ],
)
def test_missing_socket_is_started_by_this_machines_command(machine, files, facts, remedy):
    found = run_checks(machine({**PODMAN, **files}, **facts))["Podman's socket"]

    assert (found.status, "does not exist" in found.detail) == ("fail", True)
    assert found.remedy.startswith(remedy)


def test_deserted_socket_and_a_strangers_socket(short_root):
    place = Machine(root=short_root, uid=1000, user="me", platform="linux")
    for name in (*PODMAN, SOCKET):
        (short_root / name).parent.mkdir(parents=True, exist_ok=True)
    for name in PODMAN:
        (short_root / name).touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_root / SOCKET))

    deserted = run_checks(place)["Podman's socket"]
    (short_root / SOCKET).unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short_root / SOCKET))
        listener.listen()
        stranger = run_checks(place)["Podman's socket"]

    assert "nobody listens" in deserted.detail
    assert (deserted.status, stranger.status) == ("fail", "warn")
    assert "--container-host" in stranger.remedy


def test_start_command_of_docker(machine):
    with_systemd = machine(SYSTEMD)

    assert (
        start_command("docker", "/var/run/docker.sock", with_systemd) == "sudo systemctl enable --now docker"
    )
    assert start_command("docker", "/run/user/1000/docker.sock", with_systemd).startswith("systemctl --user")


def test_remote_host(machine):
    settings = Settings(engine="podman", container_host="tcp://far:1")

    (found,) = engine_socket_checks(settings, machine(PODMAN), environment={}, home=Path("/home/me"))

    assert (found.status, "far:1" in found.detail) == ("fail", True)


@pytest.mark.parametrize(
    ("listed", "remedy"),
    [
        (None, "podman machine init && podman machine start"),
        ("[]", "podman machine init && podman machine start"),
        ("no json", "podman machine init && podman machine start"),
        (
            '[{"Name": "other", "Running": false}, {"Name": "own*", "Default": true}]',
            "podman machine start own",
        ),
        ('[{"Name": "own", "Running": true}]', "podman machine stop own && podman machine start own"),
    ],
)
def test_podman_machine_on_macos(machine, listed, remedy):
    place = machine({"opt/homebrew/bin/podman": ""}, platform="darwin", run=lambda _: listed)

    found = run_checks(place)["Podman machine"]

    assert (found.status, found.remedy) == ("fail", remedy)


def test_missing_engines_on_macos(machine):
    found = run_checks(machine({}, platform="darwin"), "auto")

    assert found["Podman machine"].remedy.startswith("brew install podman")
    assert found["Docker Desktop"].remedy == "brew install --cask docker"
