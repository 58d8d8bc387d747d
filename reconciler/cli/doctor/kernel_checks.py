"""Checks of what engines, above all rootless ones, need of the operating system."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Final

from reconciler.cli.doctor.check import Check, fail, ok, warn
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings

#: One inotify watch per folder of manifests, one instance per watcher.
INOTIFY_LIMITS: Final = {"max_user_watches": 8192, "max_user_instances": 128}
#: As useradd gives; images have files of users up to 65534 (nobody).
MIN_SUB_IDS: Final = 65536
FIRST_SUB_ID: Final = 100_000
#: How to get the one hierarchy that can be delegated.
UNIFIED_CGROUPS: Final = (
    "Boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line (GRUB_CMDLINE_LINUX in "
    "/etc/default/grub, then update-grub and a restart): rootless limits need version 2."
)


def kernel_checks(settings: Settings, machine: Machine) -> Iterator[Check]:
    """Checks the limits and, where a rootless engine may be used, what that needs of the system."""
    if machine.platform != "linux":
        return
    rootless = machine.uid != 0 and settings.engine in {"auto", "podman"}
    yield _check_cgroups(machine, rootless=rootless)
    if rootless:
        yield _check_user_namespaces(machine)
        yield _check_sub_ids(machine)
        yield _check_id_programs(machine)
        yield _check_tun(machine)
        yield _check_ports(machine)
        yield _check_linger(machine)
    yield _check_inotify(machine)


def delegation_remedy(machine: Machine, *, rootless: bool) -> str:
    """Returns how the engine gets the cgroup controllers that it lacks."""
    if not rootless:
        return "Boot without cgroup_disable= on the kernel's command line."
    if not machine.has_systemd:
        return "Only systemd delegates controllers to users: run the engine as root, or do without limits."
    return (
        "Delegate them: put [Service] Delegate=cpu cpuset io memory pids in"
        " /etc/systemd/system/user@.service.d/delegate.conf, sudo systemctl daemon-reload, then log in again."
    )


def _check_cgroups(machine: Machine, *, rootless: bool) -> Check:
    name = "cgroups"
    own = f"sys/fs/cgroup/user.slice/user-{machine.uid}.slice/user@{machine.uid}.service/cgroup.controllers"
    system = machine.read("sys/fs/cgroup/cgroup.controllers")
    if system is None:
        detail = "version 1 (or none)"
        return warn(name, detail, UNIFIED_CGROUPS) if rootless else ok(name, detail)
    given = set(((machine.read(own) or "") if rootless else system).split())
    missing = [c for c in ("cpu", "memory", "pids") if c not in given]
    detail = f"version 2, controllers: {' '.join(sorted(given)) or 'none'}"
    if not missing:
        return ok(name, detail)
    detail += f": limits on {', '.join(missing)} are not enforced"
    return warn(name, detail, delegation_remedy(machine, rootless=rootless))


def _check_user_namespaces(machine: Machine) -> Check:
    name = "user namespaces"
    if machine.read("proc/sys/kernel/unprivileged_userns_clone") == "0":
        remedy = "sudo sysctl -w kernel.unprivileged_userns_clone=1 (and put it into /etc/sysctl.d)."
        return fail(name, "switched off for ordinary users", remedy)
    limit = machine.read("proc/sys/user/max_user_namespaces")
    if limit == "0":
        remedy = "echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/99-userns.conf."
        return fail(name, "none allowed", remedy)
    if machine.read("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        remedy = "Should a start be refused: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0."
        return warn(name, "only for programs with an AppArmor profile", remedy)
    return ok(name, f"at most {limit}" if limit else "available")


def _check_sub_ids(machine: Machine) -> Check:
    """Checks the ranges that this user's containers take users from: large enough, and nobody else's."""
    name = "subuid and subgid ranges"
    tables = {path: _parse_ranges(machine.read(path) or "") for path in ("etc/subuid", "etc/subgid")}
    me = {machine.user, str(machine.uid)}
    mine = {path: [r for r in ranges if r[0] in me] for path, ranges in tables.items()}
    missing = [f"/{path}" for path, ranges in mine.items() if sum(r[2] for r in ranges) < MIN_SUB_IDS]
    if missing:
        few = f"fewer than {MIN_SUB_IDS}" if any(mine.values()) else "none"
        ends = [start + count for ranges in tables.values() for _, start, count in ranges]
        first = max([FIRST_SUB_ID, *ends])
        span = f"{first}-{first + MIN_SUB_IDS - 1}"
        remedy = (
            f"sudo usermod --add-subuids {span} --add-subgids {span} {machine.user} && podman system migrate"
        )
        return fail(name, f"{few} for {machine.user} in {' and '.join(missing)}", remedy)
    for path, ranges in tables.items():
        for _, start, count in mine[path]:
            other = next(
                (r for r in ranges if r[0] not in me and r[1] < start + count and start < r[1] + r[2]), None
            )
            if other is not None:
                detail = f"/{path}: {machine.user}'s range overlaps {other[0]}'s: they own each other's files"
                remedy = f"Give {machine.user} a range of its own in /{path}, then podman system migrate."
                return warn(name, detail, remedy)
    _, first_id, count = mine["etc/subuid"][0]
    return ok(name, f"there for {machine.user} ({count} from {first_id})")


def _parse_ranges(table: str) -> list[tuple[str, int, int]]:
    """Owner, first id and number of ids of each line; a malformed line is left out."""
    found = []
    for line in table.splitlines():
        parts = line.strip().split(":")
        if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal():
            found.append((parts[0], int(parts[1]), int(parts[2])))
    return found


def _check_id_programs(machine: Machine) -> Check:
    """Checks the two programs with which Podman maps the ranges; they run with root's rights."""
    name = "newuidmap and newgidmap"
    for program in ("newuidmap", "newgidmap"):
        path = machine.find_program(program)
        if not path:
            packages = {"apt": "uidmap", "dnf": "shadow-utils", "zypper": "shadow", "pacman": "shadow"}
            return fail(name, f"{program} is not installed", machine.install_command(packages))
        file = machine.path(path)
        try:
            privileged = bool(file.stat().st_mode & stat.S_ISUID or os.getxattr(file, "security.capability"))
        except OSError:
            privileged = False
        if not privileged:
            detail = f"/{path} has neither the setuid bit nor file capabilities"
            return fail(name, detail, f"sudo chmod u+s /{path}")
    return ok(name, "there, with the rights they need")


def _check_tun(machine: Machine) -> Check:
    """Checks the device that the network of rootless containers ends in, by slirp4netns or pasta."""
    name = "/dev/net/tun"
    if not machine.exists("dev/net/tun"):
        return fail(name, "is not there", "sudo modprobe tun")
    if stat.S_IMODE(machine.path("dev/net/tun").stat().st_mode) & 0o006 != 0o006:
        detail = f"is closed to {machine.user}: rootless networks cannot be made"
        return fail(name, detail, "sudo chmod 0666 /dev/net/tun")
    return ok(name, "open to everybody")


def _check_ports(machine: Machine) -> Check:
    """Reports the low ports; never fails: a job whose hostNetwork port is too low says so in its status."""
    first = machine.read("proc/sys/net/ipv4/ip_unprivileged_port_start") or "1024"
    low = f"below {first} only in containers' own networks, not with hostNetwork" if first != "0" else "all"
    return ok("ports", low)


def _check_linger(machine: Machine) -> Check:
    name = "linger"
    if not machine.has_systemd:
        return ok(name, "no systemd: nothing ends user processes at log-out")
    if machine.exists(f"var/lib/systemd/linger/{machine.user}"):
        return ok(name, f"on for {machine.user}")
    detail = f"off for {machine.user}: jobs end when the last session does"
    return warn(name, detail, f"loginctl enable-linger {machine.user}")


def _check_inotify(machine: Machine) -> Check:
    low = {}
    for key, least in INOTIFY_LIMITS.items():
        value = machine.read(f"proc/sys/fs/inotify/{key}")
        if value is not None and value.isdecimal() and int(value) < least:
            low[key] = value
    if not low:
        return ok("file watches", "inotify limits are high enough")
    detail = ", ".join(f"{key} is {value}" for key, value in low.items())
    remedy = "; ".join(f"sudo sysctl -w fs.inotify.{key}={INOTIFY_LIMITS[key]}" for key in low)
    return warn("file watches", detail, f"{remedy}. Without, changes are polled for.")
