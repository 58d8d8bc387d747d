"""Checks of ``reconciler doctor``: what engines, above all rootless ones, need of the operating system."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from reconciler.cli.checks import Check, Machine

#: One watch per folder of manifests, one instance per watcher.
WATCHES_WANTED: Final = 8192
INSTANCES_WANTED: Final = 128


def kernel_checks(machine: Machine, *, rootless: bool) -> Iterator[Check]:
    """Limits, user namespaces and the rest that a rootless engine needs of the system."""
    yield _cgroups(machine, rootless=rootless)
    if rootless:
        yield _user_namespaces(machine)
        yield _sub_ids(machine)
        yield _linger(machine)
    yield _inotify(machine)
    yield _clock(machine)


def _cgroups(machine: Machine, *, rootless: bool) -> Check:
    name = "cgroups"
    own = f"sys/fs/cgroup/user.slice/user-{machine.uid}.slice/user@{machine.uid}.service/cgroup.controllers"
    system = machine.text("sys/fs/cgroup/cgroup.controllers")
    if system is None:
        detail = "version 1 (or none)"
        if rootless:
            remedy = "Boot with systemd.unified_cgroup_hierarchy=1: rootless limits need version 2."
            return Check(name=name, status="warn", detail=detail, remedy=remedy)
        return Check(name=name, status="ok", detail=detail)
    given = set(((machine.text(own) or "") if rootless else system).split())
    missing = [c for c in ("cpu", "memory", "pids") if c not in given]
    detail = f"version 2, controllers: {' '.join(sorted(given)) or 'none'}"
    if not missing:
        return Check(name=name, status="ok", detail=detail)
    remedy = f"Limits on {', '.join(missing)} will be refused."
    if rootless:
        remedy += (
            " Delegate them: put [Service] Delegate=cpu cpuset io memory pids in"
            " /etc/systemd/system/user@.service.d/delegate.conf, then log in anew."
        )
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
    name = "subuid and subgid ranges"
    missing = []
    for path in ("etc/subuid", "etc/subgid"):
        lines = (machine.text(path) or "").splitlines()
        owners = {line.split(":")[0] for line in lines}
        if not owners & {machine.user, str(machine.uid)}:
            missing.append(f"/{path}")
    if not missing:
        return Check(name=name, status="ok", detail=f"there for {machine.user}")
    remedy = f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {machine.user}."
    return Check(
        name=name, status="fail", detail=f"none for {machine.user} in {' and '.join(missing)}", remedy=remedy
    )


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


def _clock(machine: Machine) -> Check:
    name = "clock"
    year = time.gmtime(machine.now()).tm_year
    if year < 2025:
        return Check(
            name=name, status="fail", detail=f"the year is {year}", remedy="Set it: timedatectl set-ntp true."
        )
    if machine.exists("run/systemd/timesync") and not machine.exists("run/systemd/timesync/synchronized"):
        return Check(name=name, status="warn", detail="not synchronized", remedy="timedatectl set-ntp true")
    return Check(
        name=name, status="ok", detail=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(machine.now()))
    )
