"""Checks of ``reconciler doctor`` that ask the engine: who answers, and what it can do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from reconciler.cli.checks import Check, Machine, Status

if TYPE_CHECKING:
    from reconciler.config import Settings
    from reconciler.engines.base import Engine, EngineInfo

#: The oldest versions that are tested (issue: "Podman 4.x and 5.x API, Docker 20.10 to current").
OLDEST: Final[Mapping[str, tuple[int, int]]] = {"podman": (4, 0), "docker": (20, 10)}
_MARKERS: Final = {"nvidia.com/gpu": "dev/nvidiactl", "amd.com/gpu": "dev/kfd"}


def engine_checks(settings: Settings, machine: Machine) -> Iterator[Check]:
    """Reach the engine and ask it; ends after the first check when nobody answers."""
    from reconciler.controller.daemon import connect  # noqa: PLC0415  (brings the engines' clients)
    from reconciler.errors import EngineError  # noqa: PLC0415

    name = "engine"
    try:
        engine = connect(settings)
        info = engine.info()
    except EngineError as error:
        yield Check(name=name, status="fail", detail=error.message, remedy=error.remedy)
        return
    try:
        who = f"{info.name} {info.version}" + (", rootless" if info.rootless else "")
        size = f"{info.cpus:g} CPUs, {info.memory / 1024**3:.1f} GiB"
        yield Check(name=name, status="ok", detail=f"{who} at {info.host or 'this process'}; {size}")
        yield from info_checks(info)
        yield devices_check(engine, machine)
        yield from leftovers_checks(engine, settings)
    finally:
        engine.close()


def info_checks(info: EngineInfo) -> Iterator[Check]:
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
        yield _network_backend(backend)
    controllers: Sequence[str] = info.details.get("cgroup_controllers") or ()
    if info.name == "podman" and str(info.details.get("cgroup_version", "")) == "2":
        missing = [c for c in ("cpu", "memory", "pids") if c not in controllers]
        yield Check(
            name="limits in containers",
            status="warn" if missing else "ok",
            detail=f"controllers: {' '.join(controllers) or 'none'}",
            remedy=f"Limits on {', '.join(missing)} will be refused; see cgroups." if missing else "",
        )
    driver = str(info.details.get("storage_driver") or "")
    if driver:
        slow = driver == "vfs"
        yield Check(
            name="image store",
            status="warn" if slow else "ok",
            detail=driver,
            remedy="vfs copies an image for every container: install fuse-overlayfs." if slow else "",
        )


def _network_backend(backend: str) -> Check:
    name = "network and DNS"
    if backend == "netavark":
        return Check(name=name, status="ok", detail="netavark, names by aardvark-dns")
    remedy = "Install netavark and aardvark-dns, then podman system reset; addresses work without."
    detail = f"{backend or 'unknown backend'}: names may not resolve in containers"
    return Check(name=name, status="warn", detail=detail, remedy=remedy)


def devices_check(engine: Engine, machine: Machine) -> Check:
    """GPUs that the machine has are offered to containers."""
    from reconciler.errors import EngineError  # noqa: PLC0415

    name = "GPUs"
    try:
        offered = engine.devices()
    except EngineError as error:
        return Check(name=name, status="warn", detail=error.message, remedy=error.remedy)
    said = ", ".join(f"{kind}: {' '.join(names)}" for kind, names in offered.items() if names)
    missing = [k for k, path in _MARKERS.items() if machine.exists(path) and not offered.get(k)]
    if missing:
        remedy = {
            "nvidia.com/gpu": "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
            "amd.com/gpu": "sudo amd-ctk cdi generate --output=/etc/cdi/amd.json",
        }[missing[0]]
        status: Status = "fail"
        return Check(
            name=name, status=status, detail=f"{', '.join(missing)} not offered by CDI", remedy=remedy
        )
    return Check(name=name, status="ok", detail=said or "none on this machine")


def leftovers_checks(engine: Engine, settings: Settings) -> Iterator[Check]:
    """What this folder's instance has on the engine, and that it can be listed."""
    from reconciler.errors import EngineError  # noqa: PLC0415
    from reconciler.names import LABEL_INSTANCE, LABEL_JOB  # noqa: PLC0415

    name = "containers of this folder"
    try:
        mine: list[Any] = engine.list_containers({LABEL_INSTANCE: settings.instance})
    except EngineError as error:
        yield Check(name=name, status="fail", detail=error.message, remedy=error.remedy)
        return
    jobs = {state.labels.get(LABEL_JOB, "") for state in mine}
    running = sum(state.state == "running" for state in mine)
    yield Check(name=name, status="ok", detail=f"{len(mine)} (jobs: {len(jobs)}), {running} running")
