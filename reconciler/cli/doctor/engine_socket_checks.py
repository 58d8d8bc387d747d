"""Checks of ``reconciler doctor`` for when no engine answers: is it installed, does it run, may we ask it?

The engine's own error says what was tried; these say what to type on this machine. A socket can be absent
(nobody listens), left behind by a service that ended, or closed to this user: each is mended differently.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from reconciler.cli.doctor.check import Check, Machine

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

Finding = Literal["absent", "closed", "deserted", "answers"]
Kind = Literal["podman", "docker"]

PODMAN_PACKAGES: Final = {
    "apt": "podman uidmap slirp4netns netavark aardvark-dns",
    "dnf": "podman",
    "zypper": "podman",
    "pacman": "podman aardvark-dns",
}
DOCKER_PACKAGES: Final = {"apt": "docker.io", "dnf": "moby-engine", "zypper": "docker", "pacman": "docker"}
USER_SOCKET: Final = "systemctl --user enable --now podman.socket"
_SECONDS: Final = 5.0
_TITLE: Final[Mapping[Kind, str]] = {"podman": "Podman", "docker": "Docker"}


def reach_checks(
    settings: Settings,
    machine: Machine,
    *,
    environment: Mapping[str, str] = os.environ,
    home: Path | None = None,
) -> Iterator[Check]:
    """What stands between this user and each engine that could have answered."""
    kinds: Sequence[Kind] = ("docker", "podman")
    for kind in kinds:
        if settings.engine not in {"auto", kind}:
            continue
        if machine.platform == "darwin":
            yield _machine_check(machine) if kind == "podman" else _desktop_check(machine)
        elif not machine.program("podman" if kind == "podman" else "dockerd") and not settings.container_host:
            yield _missing(kind, machine, needed=settings.engine == kind)
        else:
            yield _socket_check(
                kind, _url(kind, settings, machine, environment, home or Path.home()), machine
            )


def _missing(kind: Kind, machine: Machine, *, needed: bool) -> Check:
    packages = PODMAN_PACKAGES if kind == "podman" else DOCKER_PACKAGES
    return Check(
        name=_TITLE[kind],
        status="fail" if needed else "warn",
        detail="not installed",
        remedy=machine.install(packages),
    )


def _url(kind: Kind, settings: Settings, machine: Machine, environment: Mapping[str, str], home: Path) -> str:
    """The address that this user's engine should have."""
    from reconciler.engines.discovery import endpoints  # noqa: PLC0415  (not for --help)

    if settings.container_host:
        return (
            settings.container_host
            if "://" in settings.container_host
            else f"unix://{settings.container_host}"
        )
    if kind == "docker":
        return endpoints.docker_addresses(environment, home, uid=machine.uid)[0]
    found = endpoints.podman_addresses(environment, home, uid=machine.uid)
    # Root's service is the system's.
    return (
        next((url for url in found if url.startswith("unix:///run/podman")), found[0])
        if machine.uid == 0
        else found[0]
    )


def _socket_check(kind: Kind, url: str, machine: Machine) -> Check:
    name = f"{_TITLE[kind]}'s socket"
    if not url.startswith("unix://"):
        remedy = (
            "Check that the host is up and its engine listens there (ssh://: that `ssh HOST true` works)."
        )
        return Check(name=name, status="fail", detail=f"{url} does not answer", remedy=remedy)
    path = url.removeprefix("unix://")
    finding = look(machine, path)
    if finding == "answers":
        detail = f"{path}: somebody listens there, but does not answer as {_TITLE[kind]}"
        remedy = f"Name the right one with --container-host, or see who it is: sudo ss -xlp | grep {path}"
        return Check(name=name, status="warn", detail=detail, remedy=remedy)
    if finding == "closed":
        return Check(
            name=name,
            status="fail",
            detail=f"{path} is closed to {machine.user}",
            remedy=_opening(kind, machine),
        )
    start = start_command(kind, path, machine)
    if finding == "deserted":
        detail = f"{path} is there, but nobody listens: the service has ended"
        return Check(name=name, status="fail", detail=detail, remedy=start)
    return Check(
        name=name, status="fail", detail=f"{path} does not exist: the service does not run", remedy=start
    )


def look(machine: Machine, path: str) -> Finding:
    """What is at a socket's path."""
    place = machine.path(path)
    try:
        place.stat()
    except PermissionError:
        return "closed"
    except OSError:
        return "absent"
    if not os.access(place, os.W_OK):
        return "closed"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_SECONDS)
        try:
            probe.connect(str(place))
        except PermissionError:
            return "closed"
        except OSError:
            return "deserted"
    return "answers"


def start_command(kind: Kind, path: str, machine: Machine) -> str:
    """The command that starts the service on this machine, for this user."""
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
            return f"sudo loginctl enable-linger {machine.user}, then {USER_SOCKET}"
        return USER_SOCKET
    return f"podman system service --time=0 unix://{path} &"


def _opening(kind: Kind, machine: Machine) -> str:
    if kind == "docker":
        return f"sudo usermod -aG docker {machine.user}, then log in anew (that group is as good as root)."
    return f"Use this user's own: {USER_SOCKET}, without --container-host."


def _machine_check(machine: Machine) -> Check:
    """Podman on macOS lives in a virtual machine."""
    name = "Podman machine"
    if not machine.program("podman"):
        remedy = "brew install podman && podman machine init && podman machine start"
        return Check(name=name, status="fail", detail="Podman is not installed", remedy=remedy)
    said = machine.run(("podman", "machine", "list", "--format", "json"))
    try:
        machines = [each for each in json.loads(said or "[]") if isinstance(each, dict)]
    except ValueError:
        machines = []
    if not machines:
        remedy = "podman machine init && podman machine start"
        return Check(name=name, status="fail", detail="there is none", remedy=remedy)
    running = [str(each.get("Name")) for each in machines if each.get("Running")]
    if not running:
        wanted = next((each for each in machines if each.get("Default")), machines[0]).get("Name", "")
        wanted = str(wanted).rstrip("*")
        return Check(
            name=name, status="fail", detail=f"{wanted} is stopped", remedy=f"podman machine start {wanted}"
        )
    remedy = f"podman machine stop {running[0]} && podman machine start {running[0]}"
    detail = f"{running[0]} runs, but its socket does not answer"
    return Check(name=name, status="fail", detail=detail, remedy=remedy)


def _desktop_check(machine: Machine) -> Check:
    installed = machine.program("docker")
    remedy = "open -a Docker (or: colima start)" if installed else "brew install --cask docker"
    detail = "does not answer" if installed else "not installed"
    return Check(name="Docker Desktop", status="warn", detail=detail, remedy=remedy)
