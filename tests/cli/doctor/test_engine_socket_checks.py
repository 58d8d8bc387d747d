"""``doctor`` when no engine answers, and of devices: what is amiss, and the command for this machine."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.cli.doctor.check import Check, Machine
from reconciler.cli.doctor.device_checks import offered_check, specifications_check
from reconciler.cli.doctor.engine_socket_checks import reach_checks, start_command
from reconciler.config.settings import Settings
from reconciler.engines.podman.podman_engine import PodmanEngine

RUNTIME = {"XDG_RUNTIME_DIR": "/run/user/1000"}
SYSTEMD = {"run/systemd/system/x": "", "run/user/1000/bus": ""}
PODMAN = {"usr/bin/podman": "", "usr/bin/dockerd": ""}
SOCKET = "run/user/1000/podman/podman.sock"


@pytest.fixture
def machine(tmp_path) -> Callable[..., Machine]:
    """A machine of the files that a test names."""
    root = tmp_path / "m"

    def make(files: dict[str, str], **facts) -> Machine:
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Machine(**{"root": root, "uid": 1000, "user": "me", "platform": "linux", **facts})

    return make


@pytest.fixture
def short() -> Iterator[Path]:
    """A root with a short name: a socket's path may have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="m-") as folder:
        yield Path(folder)


def reached(place: Machine, engine: str = "podman") -> dict[str, Check]:
    found = reach_checks(Settings(engine=engine), place, environment=RUNTIME, home=Path("/home/me"))
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
def test_podman_that_is_not_installed_is_installed_as_this_system_does(machine, release, words):
    found = reached(machine({"etc/os-release": release}))["Podman"]

    assert found.status == "fail"
    assert found.remedy.startswith(words)


def test_one_engine_of_two_is_no_need(machine):
    found = reached(machine({}), "auto")

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
def test_a_socket_that_is_not_there_is_started_as_this_machine_does(machine, files, facts, remedy):
    found = reached(machine({**PODMAN, **files}, **facts))["Podman's socket"]

    assert (found.status, "does not exist" in found.detail) == ("fail", True)
    assert found.remedy.startswith(remedy)


def test_a_socket_that_nobody_listens_on_is_told_from_one_that_is_not_there(short):
    place = Machine(root=short, uid=1000, user="me", platform="linux")
    for name in (*PODMAN, SOCKET):
        (short / name).parent.mkdir(parents=True, exist_ok=True)
    for name in PODMAN:
        (short / name).touch()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short / SOCKET))

    deserted = reached(place)["Podman's socket"]
    (short / SOCKET).unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short / SOCKET))
        listener.listen()
        stranger = reached(place)["Podman's socket"]

    assert "nobody listens" in deserted.detail
    assert (deserted.status, stranger.status) == ("fail", "warn")
    assert "--container-host" in stranger.remedy


def test_docker_is_started_by_who_may(machine):
    with_systemd = machine(SYSTEMD)

    assert (
        start_command("docker", "/var/run/docker.sock", with_systemd) == "sudo systemctl enable --now docker"
    )
    assert start_command("docker", "/run/user/1000/docker.sock", with_systemd).startswith("systemctl --user")


def test_a_host_that_is_not_this_one_has_no_socket_here(machine):
    settings = Settings(engine="podman", container_host="tcp://far:1")

    (found,) = reach_checks(settings, machine(PODMAN), environment={}, home=Path("/home/me"))

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
def test_on_macos_it_is_the_machine_that_does_not_run(machine, listed, remedy):
    place = machine({"opt/homebrew/bin/podman": ""}, platform="darwin", run=lambda _: listed)

    found = reached(place)["Podman machine"]

    assert (found.status, found.remedy) == ("fail", remedy)


def test_on_macos_podman_comes_from_homebrew(machine):
    found = reached(machine({}, platform="darwin"), "auto")

    assert found["Podman machine"].remedy.startswith("brew install podman")
    assert found["Docker Desktop"].remedy == "brew install --cask docker"


# --- devices


def specification(*paths: str) -> str:
    nodes = [{"path": path} for path in paths]
    return json.dumps(
        {
            "cdiVersion": "0.5.0",
            "kind": "nvidia.com/gpu",
            "devices": [{"name": "0", "containerEdits": {"deviceNodes": nodes}}],
            "containerEdits": {"mounts": [{"hostPath": "/usr/lib/libcuda.so.1", "containerPath": "/x"}]},
        }
    )


def test_a_specification_of_what_is_gone_is_stale(machine):
    files = {
        "etc/cdi/nvidia.json": specification("/dev/nvidia0"),
        "dev/nvidia0": "",
        "usr/bin/nvidia-ctk": "",
    }

    stale = specifications_check(machine(files))
    true = specifications_check(machine({**files, "usr/lib/libcuda.so.1": ""}))

    assert stale.status == "fail"
    assert "/usr/lib/libcuda.so.1" in stale.detail
    assert stale.remedy == "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
    assert (true.status, true.remedy) == ("ok", "")


@pytest.mark.parametrize("text", ["{", "- 1", "kind: 3\ndevices: 7\ncontainerEdits: [1]", "\x00"])
def test_a_specification_that_cannot_be_read_is_no_crash(machine, text):
    assert specifications_check(machine({"etc/cdi/bad.yaml": text})).status in {"ok", "warn"}


def test_a_gpu_that_nothing_describes_asks_for_the_toolkit(machine):
    engine = PodmanEngine("unix:///nowhere.sock")
    bare = machine({"dev/nvidiactl": "", "etc/os-release": "ID=debian\n"})

    missing = offered_check(engine, bare)
    with_tool = offered_check(engine, machine({"usr/bin/nvidia-ctk": ""}))
    described = offered_check(engine, machine({"etc/cdi/n.json": specification()}))
    engine.close()

    assert missing.status == "fail"
    assert missing.remedy.startswith(
        "sudo apt-get install -y nvidia-container-toolkit && sudo nvidia-ctk cdi"
    )
    assert with_tool.remedy.startswith("sudo nvidia-ctk cdi generate")
    assert described.status == "ok"


# --- the command, whatever is wrong


@pytest.mark.parametrize(
    "arguments",
    [
        ("--engine", "podman", "--container-host", "unix:///none/x.sock"),
        ("--engine", "docker", "--container-host", "tcp://127.0.0.1:1"),
        ("--container-host", "/none/x.sock"),
        ("--container-host", "ftp://nobody"),
        ("--container-host", "ssh://nobody@127.0.0.1:1/x"),
        (
            "--engine",
            "podman",
            "--network-test",
            "--pull-test",
            "x",
            "--container-host",
            "unix:///none/x.sock",
        ),
        ("--engine", "process", "--network-test", "--specs", "/none/specs"),
    ],
)
def test_doctor_answers_whatever_is_wrong(cli, arguments):
    done = cli("doctor", "-o", "json", *arguments)

    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [check for check in said["checks"] if check["status"] != "ok" and not check["remedy"]] == []
    assert {"engine", "manifests", "clock"} <= {check["name"] for check in said["checks"]}
