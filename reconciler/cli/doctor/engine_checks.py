"""Checks of ``reconciler doctor`` that ask the engine: who answers, and what it can do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from reconciler.cli.doctor.check import Check, Machine
from reconciler.cli.doctor.container_checks import engine_is_outside
from reconciler.cli.doctor.device_checks import device_checks
from reconciler.cli.doctor.engine_socket_checks import reach_checks
from reconciler.cli.doctor.image_checks import folder_images, image_checks, pull_check
from reconciler.cli.doctor.kernel_checks import UNIFIED, delegation
from reconciler.cli.doctor.leftover_checks import leftover_checks
from reconciler.cli.doctor.network_test import network_check

if TYPE_CHECKING:
    from reconciler.config.settings import Settings
    from reconciler.engines.protocol import Engine, EngineInfo

#: The oldest versions that are tested (issue: "Podman 4.x and 5.x API, Docker 20.10 to current").
OLDEST: Final[Mapping[str, tuple[int, int]]] = {"podman": (4, 0), "docker": (20, 10)}
#: Where Podman keeps its helper programs.
HELPERS: Final = (
    "usr/libexec/podman", "usr/lib/podman", "usr/local/libexec/podman", "usr/local/lib/podman", "usr/bin",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What is tried only when asked for: it pulls, or makes containers.

    Attributes:
        pull: an image to pull; "" none.
        network: make two containers talk.
        image: for that; "" the first of the folder's that is there.
    """

    pull: str = ""
    network: bool = False
    image: str = ""


def engine_checks(settings: Settings, machine: Machine, trials: Trials = Trials()) -> Iterator[Check]:
    """Reach the engine and ask it; when nobody answers, look for the reason."""
    from reconciler.controller.daemon.engine_connection import connect  # noqa: PLC0415  (brings the engines' clients)
    from reconciler.errors import ReconcilerError  # noqa: PLC0415

    name = "engine"
    try:
        engine = connect(settings)
        info = engine.info()
    except ReconcilerError as error:
        yield Check(name=name, status="fail", detail=error.message, remedy=error.remedy)
        if settings.engine != "process":
            yield from reach_checks(settings, machine)
        return
    try:
        who = f"{info.name} {info.version}" + (", rootless" if info.rootless else "")
        size = f"{info.cpus:g} CPUs, {info.memory / 1024**3:.1f} GiB"
        yield Check(name=name, status="ok", detail=f"{who} at {info.host or 'this process'}; {size}")
        yield from info_checks(info, machine)
        yield from guarded("GPUs", device_checks(engine, machine))
        yield from guarded("containers of this folder", leftover_checks(engine, settings))
        yield from guarded("images", image_checks(engine, info, settings, machine))
        yield from guarded("trials", _tried(engine, settings, trials))
    finally:
        engine.close()


def guarded(name: str, checks: Iterator[Check]) -> Iterator[Check]:
    """The checks; an engine that stops answering in their middle ends these, not the others."""
    from reconciler.errors import ReconcilerError  # noqa: PLC0415

    try:
        yield from checks
    except ReconcilerError as error:
        yield Check(
            name=name,
            status="fail",
            detail=error.message,
            remedy=error.remedy or "Run reconciler doctor again.",
        )


def _tried(engine: Engine, settings: Settings, trials: Trials) -> Iterator[Check]:
    if trials.pull:
        yield pull_check(engine, trials.pull)
    if not trials.network:
        return
    image = trials.image
    if not image and engine.name != "process":
        image = next((each for each in folder_images(settings) if engine.image_exists(each)), "")
        if not image:
            remedy = "Name an image that has python3: --image IMAGE"
            detail = "no image that the folder names is there"
            yield Check(name="network test", status="fail", detail=detail, remedy=remedy)
            return
    yield network_check(engine, image)


def info_checks(info: EngineInfo, machine: Machine) -> Iterator[Check]:
    """What the engine says of itself."""
    oldest = OLDEST.get(info.name)
    version = tuple(int(part) for part in re.findall(r"\d+", info.version)[:2])
    if oldest is not None:
        wanted = ".".join(map(str, oldest))
        good = len(version) < 2 or version >= oldest
        yield Check(
            name="engine's version",
            status="ok" if good else "fail",
            detail=info.version,
            remedy="" if good else f"Install {info.name} {wanted} or later.",
        )
    backend = str(info.details.get("network_backend") or "")
    if info.name == "podman":
        yield _network_backend(backend, info, machine)
        yield _limits(info, machine)
        if info.rootless:
            yield _mapped_users(info)
    driver = str(info.details.get("storage_driver") or "")
    if driver:
        slow = driver == "vfs"
        yield Check(
            name="image store",
            status="warn" if slow else "ok",
            detail=driver,
            remedy="vfs copies an image for every container: install fuse-overlayfs." if slow else "",
        )


def _limits(info: EngineInfo, machine: Machine) -> Check:
    """Whether limits of jobs hold."""
    name = "limits in containers"
    version = str(info.details.get("cgroup_version", ""))
    controllers: Sequence[str] = info.details.get("cgroup_controllers") or ()
    said = f"cgroup v{version or '?'}, controllers: {' '.join(controllers) or 'none'}"
    if version != "2" and not info.rootless:
        return Check(name=name, status="ok", detail=f"cgroup v{version or '?'}, set by root")
    if version != "2":
        return Check(
            name=name,
            status="warn",
            detail=f"{said}: limits on cpu and memory are not enforced, containers cannot be paused",
            remedy=UNIFIED,
        )
    missing = [c for c in ("cpu", "memory", "pids") if c not in controllers]
    if not missing:
        return Check(name=name, status="ok", detail=said)
    detail = f"{said}: limits on {', '.join(missing)} are not enforced"
    remedy = (
        delegation(machine) if info.rootless else "Boot without cgroup_disable= on the kernel's command line."
    )
    return Check(name=name, status="warn", detail=detail, remedy=remedy)


def _mapped_users(info: EngineInfo) -> Check:
    """How many ids a container of this user's can have; Podman keeps the number until it is told."""
    name = "users in containers"
    mapped = int(info.details.get("mapped_users") or 0)
    if mapped > 1:
        return Check(name=name, status="ok", detail=f"{mapped} ids")
    remedy = "Give the user subuid and subgid ranges (see below), then podman system migrate."
    detail = "only root: images that have files of other users cannot be unpacked"
    return Check(name=name, status="fail", detail=detail, remedy=remedy)


def _network_backend(backend: str, info: EngineInfo, machine: Machine) -> Check:
    name = "network and DNS"
    packages = {
        "apt": "netavark aardvark-dns",
        "dnf": "netavark aardvark-dns",
        "pacman": "netavark aardvark-dns",
    }
    remedy = machine.install(packages)
    if backend == "netavark":
        local = info.host.startswith("unix://") and machine.platform != "darwin"
        here = local and not engine_is_outside(machine)
        if here and not any(machine.exists(f"{folder}/aardvark-dns") for folder in HELPERS):
            detail = "netavark without aardvark-dns: containers do not resolve each other's names"
            return Check(name=name, status="fail", detail=detail, remedy=remedy)
        return Check(name=name, status="ok", detail="netavark, names by aardvark-dns")
    detail = f"{backend or 'unknown backend'}: names may not resolve in containers"
    remedy = (
        f"{remedy}, then podman system reset (it removes all containers and images); addresses work without."
    )
    return Check(name=name, status="warn", detail=detail, remedy=remedy)
