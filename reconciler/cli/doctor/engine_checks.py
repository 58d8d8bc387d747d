"""Checks of what the engine says of itself: version, network, limits, users, image store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from reconciler.cli.doctor.check import Check, fail, ok, warn
from reconciler.cli.doctor.kernel_checks import UNIFIED_CGROUPS, delegation_remedy
from reconciler.cli.doctor.state_mount_checks import is_engine_outside
from reconciler.cli.machine import Machine
from reconciler.engines.protocol import EngineInfo

#: The oldest versions that are tested (issue: "Podman 4.x and 5.x API, Docker 20.10 to current").
OLDEST_VERSIONS: Final[Mapping[str, tuple[int, int]]] = {"podman": (4, 0), "docker": (20, 10)}
#: Where Podman keeps its helper programs.
_HELPER_FOLDERS: Final = (
    "usr/libexec/podman", "usr/lib/podman", "usr/local/libexec/podman", "usr/local/lib/podman", "usr/bin",
)  # fmt: skip
_DNS_PACKAGES: Final = dict.fromkeys(("apt", "dnf", "pacman"), "netavark aardvark-dns")


def engine_checks(info: EngineInfo, machine: Machine) -> Iterator[Check]:
    """Checks the engine by its own account; some of it only for Podman, which leaves more to the system."""
    if info.name in OLDEST_VERSIONS:
        yield _check_version(info, OLDEST_VERSIONS[info.name])
    if info.name == "podman":
        yield _check_network(info, machine)
        yield _check_limits(info, machine)
        if info.rootless:
            yield _check_mapped_users(info)
    driver = str(info.details.get("storage_driver") or "")
    if driver == "vfs":
        remedy = "vfs copies an image for every container: install fuse-overlayfs."
        yield warn("image store", driver, remedy)
    elif driver:
        yield ok("image store", driver)


def _check_version(info: EngineInfo, oldest: tuple[int, int]) -> Check:
    version = tuple(int(part) for part in re.findall(r"\d+", info.version)[:2])
    if len(version) < 2 or version >= oldest:
        return ok("engine's version", info.version)
    remedy = f"Install {info.name} {'.'.join(map(str, oldest))} or later."
    return fail("engine's version", info.version, remedy)


def _check_network(info: EngineInfo, machine: Machine) -> Check:
    name, backend = "network and DNS", str(info.details.get("network_backend") or "")
    install = machine.install_command(_DNS_PACKAGES)
    if backend != "netavark":
        detail = f"{backend or 'unknown backend'}: names may not resolve in containers"
        reset = "then podman system reset (it removes all containers and images); addresses work without."
        return warn(name, detail, f"{install}, {reset}")
    is_local = info.host.startswith("unix://") and machine.platform != "darwin"
    if (
        is_local
        and not is_engine_outside(machine)
        and not any(machine.exists(f"{folder}/aardvark-dns") for folder in _HELPER_FOLDERS)
    ):
        detail = "netavark without aardvark-dns: containers do not resolve each other's names"
        return fail(name, detail, install)
    return ok(name, "netavark, names by aardvark-dns")


def _check_limits(info: EngineInfo, machine: Machine) -> Check:
    """Checks that limits of jobs are enforced."""
    name = "limits in containers"
    version = str(info.details.get("cgroup_version", ""))
    controllers: Sequence[str] = info.details.get("cgroup_controllers") or ()
    if version != "2" and not info.rootless:
        return ok(name, f"cgroup v{version or '?'}, set by root")
    found = f"cgroup v{version or '?'}, controllers: {' '.join(controllers) or 'none'}"
    if version != "2":
        detail = f"{found}: limits on cpu and memory are not enforced, containers cannot be paused"
        return warn(name, detail, UNIFIED_CGROUPS)
    missing = [c for c in ("cpu", "memory", "pids") if c not in controllers]
    if not missing:
        return ok(name, found)
    return warn(
        name,
        f"{found}: limits on {', '.join(missing)} are not enforced",
        delegation_remedy(machine, rootless=info.rootless),
    )


def _check_mapped_users(info: EngineInfo) -> Check:
    """Checks how many ids a container of this user can have; Podman keeps the number until a migration."""
    name, mapped = "users in containers", int(info.details.get("mapped_users") or 0)
    if mapped > 1:
        return ok(name, f"{mapped} ids")
    remedy = "Give the user subuid and subgid ranges (see below), then podman system migrate."
    return fail(name, "only root: images that have files of other users cannot be unpacked", remedy)
