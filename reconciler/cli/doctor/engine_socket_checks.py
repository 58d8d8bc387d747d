"""Checks for when no engine answers: is it installed, does it run, may this user ask it?

The engine's own error says what was tried; these say what to type on this machine. A socket can be absent
(nobody listens), left behind by a service that ended, or closed to this user: each has its own remedy.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from reconciler.cli.doctor.check import Check, fail, warn
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings
from reconciler.engines.discovery import engine_addresses

SocketState = Literal["absent", "closed", "deserted", "answers"]
Kind = Literal["docker", "podman"]

_TITLES: Final[Mapping[Kind, str]] = {"docker": "Docker", "podman": "Podman"}
_DAEMONS: Final[Mapping[Kind, str]] = {"docker": "dockerd", "podman": "podman"}
_PACKAGES: Final[Mapping[Kind, Mapping[str, str]]] = {
    "docker": {"apt": "docker.io", "dnf": "moby-engine", "zypper": "docker", "pacman": "docker"},
    "podman": {
        "apt": "podman uidmap slirp4netns netavark aardvark-dns",
        "dnf": "podman",
        "zypper": "podman",
        "pacman": "podman aardvark-dns",
    },
}
_USER_SOCKET: Final = "systemctl --user enable --now podman.socket"
#: Seconds for a connection to a socket.
_TIMEOUT: Final = 5.0


def engine_socket_checks(
    settings: Settings,
    machine: Machine,
    *,
    environment: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> Iterator[Check]:
    """Checks what stands between this user and each engine that could have answered."""
    for kind in _TITLES:
        if settings.engine not in {"auto", kind}:
            continue
        if machine.platform == "darwin":
            yield _check_podman_machine(machine) if kind == "podman" else _check_docker_desktop(machine)
        elif not machine.find_program(_DAEMONS[kind]) and not settings.container_host:
            status = fail if settings.engine == kind else warn
            yield status(_TITLES[kind], "not installed", machine.install_command(_PACKAGES[kind]))
        else:
            url = _expected_address(kind, settings, machine, environment, home or Path.home())
            yield _check_socket(kind, url, machine)


def _expected_address(
    kind: Kind, settings: Settings, machine: Machine, environment: Mapping[str, str], home: Path
) -> str:
    """The address that this user's engine should have."""
    host = settings.container_host
    if host:
        return host if "://" in host else f"unix://{host}"
    if kind == "docker":
        return engine_addresses.docker_addresses(environment, home, uid=machine.uid)[0]
    found = engine_addresses.podman_addresses(environment, home, uid=machine.uid)
    if machine.uid == 0:  # root's service is the system's
        return next((url for url in found if url.startswith("unix:///run/podman")), found[0])
    return found[0]


def _check_socket(kind: Kind, url: str, machine: Machine) -> Check:
    name = f"{_TITLES[kind]}'s socket"
    if not url.startswith("unix://"):
        remedy = (
            "Check that the host is up and its engine listens there (ssh://: that `ssh HOST true` works)."
        )
        return fail(name, f"{url} does not answer", remedy)
    path = url.removeprefix("unix://")
    state = _probe_socket(machine, path)
    if state == "answers":
        detail = f"{path}: somebody listens there, but does not answer as {_TITLES[kind]}"
        remedy = f"Name the right one with --container-host, or see who it is: sudo ss -xlp | grep {path}"
        return warn(name, detail, remedy)
    if state == "closed":
        return fail(name, f"{path} is closed to {machine.user}", _access_remedy(kind, machine))
    if state == "deserted":
        detail = f"{path} is there, but nobody listens: the service has ended"
    else:
        detail = f"{path} does not exist: the service does not run"
    return fail(name, detail, start_command(kind, path, machine))


def _probe_socket(machine: Machine, path: str) -> SocketState:
    file = machine.path(path)
    try:
        file.stat()
    except PermissionError:
        return "closed"
    except OSError:
        return "absent"
    if not os.access(file, os.W_OK):
        return "closed"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_TIMEOUT)
        try:
            probe.connect(str(file))
        except PermissionError:
            return "closed"
        except OSError:
            return "deserted"
    return "answers"


def start_command(kind: Kind, path: str, machine: Machine) -> str:
    """Returns the command that starts the service on this machine, for this user."""
    if kind == "docker":
        if machine.has_systemd:
            rootless = "/run/user/" in path
            return (
                "systemctl --user enable --now docker" if rootless else "sudo systemctl enable --now docker"
            )
        return "dockerd &" if machine.uid == 0 else "sudo dockerd &"
    if not machine.has_systemd:
        return f"mkdir -p {Path(path).parent} && podman system service --time=0 unix://{path} &"
    if machine.uid == 0:
        return "systemctl enable --now podman.socket"
    if path.startswith("/run/user/") or "podman/podman.sock" in path:
        if not machine.exists(f"run/user/{machine.uid}"):
            return f"sudo loginctl enable-linger {machine.user}, then {_USER_SOCKET}"
        return _USER_SOCKET
    return f"podman system service --time=0 unix://{path} &"


def _access_remedy(kind: Kind, machine: Machine) -> str:
    if kind == "docker":
        return f"sudo usermod -aG docker {machine.user}, then log in again (that group is as good as root)."
    return f"Use this user's own: {_USER_SOCKET}, without --container-host."


def _check_podman_machine(machine: Machine) -> Check:
    """Checks the virtual machine that Podman on macOS runs in."""
    name = "Podman machine"
    if not machine.find_program("podman"):
        remedy = "brew install podman && podman machine init && podman machine start"
        return fail(name, "Podman is not installed", remedy)
    listed = machine.run(("podman", "machine", "list", "--format", "json"))
    try:
        machines = [each for each in json.loads(listed or "[]") if isinstance(each, dict)]
    except ValueError:
        machines = []
    if not machines:
        return fail(name, "there is none", "podman machine init && podman machine start")
    running = [str(each.get("Name")) for each in machines if each.get("Running")]
    if not running:
        default = next((each for each in machines if each.get("Default")), machines[0])
        wanted = str(default.get("Name", "")).rstrip("*")
        return fail(name, f"{wanted} is stopped", f"podman machine start {wanted}")
    remedy = f"podman machine stop {running[0]} && podman machine start {running[0]}"
    return fail(name, f"{running[0]} runs, but its socket does not answer", remedy)


def _check_docker_desktop(machine: Machine) -> Check:
    if machine.find_program("docker"):
        return warn("Docker Desktop", "does not answer", "open -a Docker (or: colima start)")
    return warn("Docker Desktop", "not installed", "brew install --cask docker")
