"""Checks of ``reconciler doctor``: what engines, above all rootless ones, need of the operating system."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Final

from reconciler.cli.doctor.check import Check, Machine

#: One watch per folder of manifests, one instance per watcher.
WATCHES_WANTED: Final = 8192
INSTANCES_WANTED: Final = 128
#: As useradd gives; images have files of users up to 65534 (nobody).
IDS_WANTED: Final = 65536
FIRST_ID: Final = 100_000


def kernel_checks(machine: Machine, *, rootless: bool) -> Iterator[Check]:
    """Limits, user namespaces and the rest that a rootless engine needs of the system."""
    yield _cgroups(machine, rootless=rootless)
    if rootless:
        yield _user_namespaces(machine)
        yield _sub_ids(machine)
        yield _id_programs(machine)
        yield _tun(machine)
        yield _ports(machine)
        yield _linger(machine)
    yield _inotify(machine)


#: How to get the one hierarchy that can be delegated.
UNIFIED: Final = (
    "Boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line (GRUB_CMDLINE_LINUX in "
    "/etc/default/grub, then update-grub and a restart): rootless limits need version 2."
)


def delegation(machine: Machine) -> str:
    """How a user is given the controllers."""
    if not machine.has_systemd:
        return "Only systemd delegates controllers to users: run the engine as root, or do without limits."
    return (
        "Delegate them: put [Service] Delegate=cpu cpuset io memory pids in"
        " /etc/systemd/system/user@.service.d/delegate.conf, sudo systemctl daemon-reload, then log in anew."
    )


def _cgroups(machine: Machine, *, rootless: bool) -> Check:
    name = "cgroups"
    own = f"sys/fs/cgroup/user.slice/user-{machine.uid}.slice/user@{machine.uid}.service/cgroup.controllers"
    system = machine.text("sys/fs/cgroup/cgroup.controllers")
    if system is None:
        detail = "version 1 (or none)"
        if rootless:
            return Check(name=name, status="warn", detail=detail, remedy=UNIFIED)
        return Check(name=name, status="ok", detail=detail)
    given = set(((machine.text(own) or "") if rootless else system).split())
    missing = [c for c in ("cpu", "memory", "pids") if c not in given]
    detail = f"version 2, controllers: {' '.join(sorted(given)) or 'none'}"
    if not missing:
        return Check(name=name, status="ok", detail=detail)
    detail += f": limits on {', '.join(missing)} are not enforced"
    remedy = delegation(machine) if rootless else "Boot without cgroup_disable= on the kernel's command line."
    return Check(name=name, status="warn", detail=detail, remedy=remedy)


def _user_namespaces(machine: Machine) -> Check:
    name = "user namespaces"
    if machine.text("proc/sys/kernel/unprivileged_userns_clone") == "0":
        remedy = "sudo sysctl -w kernel.unprivileged_userns_clone=1 (and put it into /etc/sysctl.d)."
        return Check(name=name, status="fail", detail="switched off for ordinary users", remedy=remedy)
    limit = machine.text("proc/sys/user/max_user_namespaces")
    if limit == "0":
        remedy = "echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/99-userns.conf."
        return Check(name=name, status="fail", detail="none allowed", remedy=remedy)
    if machine.text("proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        remedy = "Should a start be refused: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0."
        return Check(
            name=name, status="warn", detail="only for programs with an AppArmor profile", remedy=remedy
        )
    return Check(name=name, status="ok", detail=f"at most {limit}" if limit else "available")


def _sub_ids(machine: Machine) -> Check:
    """Ranges that this user's containers take their users from: there, large enough, and nobody else's."""
    name = "subuid and subgid ranges"
    tables = {path: _ranges(machine.text(path) or "") for path in ("etc/subuid", "etc/subgid")}
    me = {machine.user, str(machine.uid)}
    mine = {path: [r for r in ranges if r[0] in me] for path, ranges in tables.items()}
    missing = [f"/{path}" for path, ranges in mine.items() if sum(r[2] for r in ranges) < IDS_WANTED]
    if missing:
        few = any(mine.values())
        said = f"fewer than {IDS_WANTED} for {machine.user} in" if few else f"none for {machine.user} in"
        first = max((start + count for ranges in tables.values() for _, start, count in ranges), default=0)
        first = max(first, FIRST_ID)
        span = f"{first}-{first + IDS_WANTED - 1}"
        remedy = (
            f"sudo usermod --add-subuids {span} --add-subgids {span} {machine.user} && podman system migrate"
        )
        return Check(name=name, status="fail", detail=f"{said} {' and '.join(missing)}", remedy=remedy)
    for path, ranges in tables.items():
        for _, start, count in mine[path]:
            other = next(
                (r for r in ranges if r[0] not in me and r[1] < start + count and start < r[1] + r[2]), None
            )
            if other is not None:
                detail = f"/{path}: {machine.user}'s range overlaps {other[0]}'s: they own each other's files"
                remedy = f"Give {machine.user} a range of its own in /{path}, then podman system migrate."
                return Check(name=name, status="warn", detail=detail, remedy=remedy)
    first_id, count = mine["etc/subuid"][0][1:]
    return Check(name=name, status="ok", detail=f"there for {machine.user} ({count} from {first_id})")


def _ranges(table: str) -> list[tuple[str, int, int]]:
    """Owner, first id and number of ids of each line; a line that is none is left out."""
    found = []
    for line in table.splitlines():
        parts = line.strip().split(":")
        if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal():
            found.append((parts[0], int(parts[1]), int(parts[2])))
    return found


def _id_programs(machine: Machine) -> Check:
    """Podman maps the ranges with two programs that run with root's rights."""
    name = "newuidmap and newgidmap"
    remedy = machine.install({"apt": "uidmap", "dnf": "shadow-utils", "zypper": "shadow", "pacman": "shadow"})
    for program in ("newuidmap", "newgidmap"):
        path = machine.program(program)
        if not path:
            return Check(name=name, status="fail", detail=f"{program} is not installed", remedy=remedy)
        place = machine.path(path)
        try:
            raised = bool(place.stat().st_mode & stat.S_ISUID) or bool(
                os.getxattr(place, "security.capability")
            )
        except OSError:
            raised = False
        if not raised:
            detail = f"/{path} has neither the setuid bit nor file capabilities"
            return Check(name=name, status="fail", detail=detail, remedy=f"sudo chmod u+s /{path}")
    return Check(name=name, status="ok", detail="there, with the rights they need")


def _tun(machine: Machine) -> Check:
    """The network of rootless containers ends in a tap device, by slirp4netns or pasta."""
    name = "/dev/net/tun"
    device = machine.path("dev/net/tun")
    if not machine.exists("dev/net/tun"):
        return Check(name=name, status="fail", detail="is not there", remedy="sudo modprobe tun")
    if stat.S_IMODE(device.stat().st_mode) & 0o006 != 0o006:
        detail = f"is closed to {machine.user}: rootless networks cannot be made"
        return Check(name=name, status="fail", detail=detail, remedy="sudo chmod 0666 /dev/net/tun")
    return Check(name=name, status="ok", detail="open to everybody")


def _ports(machine: Machine) -> Check:
    """No fault: a job of the host's network that says it wants a low port is told so in its status."""
    first = machine.text("proc/sys/net/ipv4/ip_unprivileged_port_start") or "1024"
    low = f"below {first} only in containers' own networks, not with hostNetwork" if first != "0" else "all"
    return Check(name="ports", status="ok", detail=low)


def _linger(machine: Machine) -> Check:
    name = "linger"
    if not machine.exists("run/systemd/system"):
        return Check(name=name, status="ok", detail="no systemd: nothing ends user processes at log-out")
    if machine.exists(f"var/lib/systemd/linger/{machine.user}"):
        return Check(name=name, status="ok", detail=f"on for {machine.user}")
    return Check(
        name=name,
        status="warn",
        detail=f"off for {machine.user}: jobs end when the last session does",
        remedy=f"loginctl enable-linger {machine.user}",
    )


def _inotify(machine: Machine) -> Check:
    name = "file watches"
    wanted = {"max_user_watches": WATCHES_WANTED, "max_user_instances": INSTANCES_WANTED}
    low = {}
    for key, least in wanted.items():
        value = machine.text(f"proc/sys/fs/inotify/{key}")
        if value is not None and value.isdecimal() and int(value) < least:
            low[key] = (int(value), least)
    if not low:
        return Check(name=name, status="ok", detail="inotify limits are high enough")
    detail = ", ".join(f"{key} is {value}" for key, (value, _) in low.items())
    remedy = "; ".join(f"sudo sysctl -w fs.inotify.{key}={least}" for key, (_, least) in low.items())
    return Check(
        name=name, status="warn", detail=detail, remedy=f"{remedy}. Without, changes are polled for."
    )
