"""Checks of the operating system: cgroups, user namespaces, subordinate ids, linger, inotify."""

from __future__ import annotations

import pytest

from reconciler.cli.doctor.kernel_checks import kernel_checks
from reconciler.config.settings import Settings

SUBIDS = {"etc/subuid": "me:100000:65536\n", "etc/subgid": "1000:100000:65536\n"}
DELEGATED = "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers"


@pytest.mark.parametrize(
    ("files", "name", "status", "words"),
    [
        ({}, "cgroups", "warn", "unified_cgroup_hierarchy"),
        (
            {"sys/fs/cgroup/cgroup.controllers": "cpu memory pids", "run/systemd/system/x": ""},
            "cgroups",
            "warn",
            "Delegate=",
        ),
        ({"sys/fs/cgroup/cgroup.controllers": "cpu memory pids"}, "cgroups", "warn", "Only systemd"),
        (
            {"sys/fs/cgroup/cgroup.controllers": "cpu memory pids", DELEGATED: "cpu memory pids"},
            "cgroups",
            "ok",
            "",
        ),
        ({"proc/sys/kernel/unprivileged_userns_clone": "0"}, "user namespaces", "fail", "sysctl"),
        ({"proc/sys/user/max_user_namespaces": "0"}, "user namespaces", "fail", "sysctl"),
        ({"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"}, "user namespaces", "warn", "sysctl"),
        ({}, "user namespaces", "ok", ""),
        ({}, "subuid and subgid ranges", "fail", "usermod --add-subuids"),
        (SUBIDS, "subuid and subgid ranges", "ok", ""),
        # The range that is proposed is nobody's yet.
        (
            {"etc/subuid": "you:100000:65536\n", "etc/subgid": "you:100000:65536\n"},
            "subuid and subgid ranges",
            "fail",
            "--add-subuids 165536-231071 --add-subgids 165536-231071 me",
        ),
        (
            {"etc/subuid": "me:100000:100\n", "etc/subgid": "me:100000:100\n"},
            "subuid and subgid ranges",
            "fail",
            "podman system migrate",
        ),
        (
            {**SUBIDS, "etc/subuid": "me:100000:65536\nyou:165000:65536\n"},
            "subuid and subgid ranges",
            "warn",
            "a range of its own",
        ),
        ({"etc/os-release": "ID=debian\n"}, "newuidmap and newgidmap", "fail", "apt-get install -y uidmap"),
        (
            {"usr/bin/newuidmap": "", "usr/bin/newgidmap": ""},
            "newuidmap and newgidmap",
            "fail",
            "chmod u+s /usr/bin/newuidmap",
        ),
        ({}, "/dev/net/tun", "fail", "modprobe tun"),
        ({"dev/net/tun": ""}, "/dev/net/tun", "fail", "chmod 0666 /dev/net/tun"),
        ({}, "ports", "ok", ""),
        ({"run/systemd/system/x": ""}, "linger", "warn", "loginctl enable-linger me"),
        ({"run/systemd/system/x": "", "var/lib/systemd/linger/me": ""}, "linger", "ok", ""),
        ({"proc/sys/fs/inotify/max_user_watches": "100"}, "file watches", "warn", "max_user_watches=8192"),
        ({"proc/sys/fs/inotify/max_user_watches": "65536"}, "file watches", "ok", ""),
    ],
)
def test_requirements_of_a_rootless_engine(machine, files, name, status, words):
    checks = {check.name: check for check in kernel_checks(Settings(), machine(files))}

    found = checks[name]

    assert found.status == status, found
    assert words in found.remedy
    assert (found.remedy == "") == (status == "ok")


def test_rootful_engine_needs_no_linger(machine):
    checks = kernel_checks(Settings(engine="docker"), machine({}))

    assert "linger" not in {check.name for check in checks}
