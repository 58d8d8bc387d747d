"""``doctor``: every verdict from facts that are given, and the command on this machine."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from reconciler.cli.doctor import folder_checks, kernel_checks
from reconciler.cli.doctor.check import Check, Machine
from reconciler.cli.doctor.clock_checks import clock_check
from reconciler.cli.doctor.engine_checks import info_checks
from reconciler.cli.doctor.git_checks import git_checks
from reconciler.config.git_urls import parse_url
from reconciler.config.settings import Settings
from reconciler.engines.protocol import EngineInfo
from tests.cli.samples import trainjob, write

SUBIDS = {"etc/subuid": "me:100000:65536\n", "etc/subgid": "1000:100000:65536\n"}
DELEGATED = "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers"


def machine(tmp_path: Path, files: dict[str, str], **facts) -> Machine:
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Machine(root=tmp_path / "root", uid=1000, user="me", **facts)


def by_name(checks) -> dict[str, Check]:
    return {check.name: check for check in checks}


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
def test_what_a_rootless_engine_needs_of_the_system(tmp_path, files, name, status, words):
    found = by_name(kernel_checks.kernel_checks(machine(tmp_path, files), rootless=True))[name]

    assert found.status == status, found
    assert words in found.remedy
    assert (found.remedy == "") == (status == "ok")


def test_a_rootful_engine_needs_no_linger(tmp_path):
    assert "linger" not in by_name(kernel_checks.kernel_checks(machine(tmp_path, {}), rootless=False))


def test_a_clock_of_before_what_was_written_fails(tmp_path, specs):
    settings = Settings(specs=specs, state_dir=tmp_path)

    found = clock_check(settings, machine(tmp_path, {}, now=lambda: 0.0, synchronized=lambda: True))
    assert (found.status, "1970-01-01" in found.detail) == ("fail", True)

    # A daemon has run while the clock was a year ahead.
    records = tmp_path / "records" / settings.instance
    records.mkdir(parents=True)
    ahead = time.time() + 365 * 86_400
    os.utime(records, (ahead, ahead))
    found = clock_check(settings, machine(tmp_path, {}, synchronized=lambda: True))
    assert found.status == "fail"
    assert f"touch {records}" in found.remedy


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "on its host"),
        ({"usr/sbin/chronyd": ""}, "Start chronyd"),
        (
            {
                "run/systemd/system/x": "",
                "usr/sbin/chronyd": "",
                "usr/lib/systemd/system/chronyd.service": "",
            },
            "sudo systemctl enable --now chronyd.service, then see `chronyc tracking`",
        ),
        (
            {"run/systemd/system/x": "", "lib/systemd/system/systemd-timesyncd.service": ""},
            "sudo timedatectl set-ntp true",
        ),
        (
            {"run/systemd/system/x": "", "etc/os-release": "ID=fedora\n"},
            "sudo dnf install -y chrony, then see `chronyc tracking`",
        ),
    ],
)
def test_a_clock_that_nothing_keeps_is_told_with_what_keeps_it_here(tmp_path, specs, files, words):
    settings = Settings(specs=specs, state_dir=tmp_path)
    where = machine(tmp_path, files, synchronized=lambda: False)

    found = clock_check(settings, where)

    assert (found.status, words in found.remedy) == ("warn", True), found
    for answer, shown in ((True, True), (None, False)):
        kept = clock_check(settings, machine(tmp_path, files, synchronized=lambda answer=answer: answer))
        assert (kept.status, "synchronized" in kept.detail) == ("ok", shown)


def test_the_kernel_tells_whether_the_clock_is_kept():
    assert Machine().synchronized() in {True, False, None}


@pytest.mark.parametrize(
    ("said", "verify", "status", "words"),
    [
        (None, False, "fail", "sudo apt-get install -y git"),
        ("git version 2.30.2\n", False, "fail", "later release"),
        ("git version 2.33.8\n", True, "fail", "later release"),
        ("git version 2.33.8\n", False, "ok", ""),
        ("git version 2.39.5 (Apple Git-154)\n", True, "ok", ""),
        ("git version 3.0\n", True, "ok", ""),
        ("hello\n", False, "fail", "apt-get"),
    ],
)
def test_git_is_looked_at_where_a_repository_is_followed(tmp_path, said, verify, status, words):
    url = parse_url("https://git.example.com/jobs.git")
    settings = Settings(state_dir=tmp_path, git=url, git_verify=verify)
    where = machine(tmp_path, {"etc/os-release": "ID=debian\n"}, run=lambda _command: said)

    found = by_name(git_checks(settings, where))

    assert set(found) == {"git"}
    assert found["git"].status == status, found
    assert words in found["git"].remedy


def test_ssh_and_gpg_are_looked_at_where_they_are_used(tmp_path):
    settings = Settings(
        state_dir=tmp_path, git=parse_url("ssh://git@example.com/x"), git_verify=True, git_gpg_keys=tmp_path
    )
    programs = {"git": "git version 2.40.1"}
    where = machine(tmp_path, {"etc/os-release": "ID=fedora\n"}, run=lambda command: programs.get(command[0]))

    found = by_name(git_checks(settings, where))

    assert {name: check.status for name, check in found.items()} == {
        "git": "ok",
        "ssh for git": "fail",
        "gpg for git": "fail",
    }
    assert found["ssh for git"].remedy == "sudo dnf install -y openssh-clients"
    assert found["gpg for git"].remedy == "sudo dnf install -y gnupg2"


def test_a_folder_needs_no_git(tmp_path, specs):
    assert list(git_checks(Settings(specs=specs, state_dir=tmp_path), machine(tmp_path, {}))) == []


@pytest.mark.parametrize(("free", "status"), [(50, "ok"), (5, "warn"), (0.5, "fail")])
def test_room_on_the_disk(tmp_path, specs, free, status):
    place = machine(tmp_path, {}, disk_free=lambda _: int(free * 1024**3))

    found = by_name(folder_checks.folder_checks(Settings(specs=specs, state_dir=tmp_path), place))

    assert found["disk for logs and records"].status == status


def test_folders_that_are_missing_empty_or_faulty_are_said(tmp_path, specs):
    def manifests(folder: Path) -> Check:
        return by_name(folder_checks.folder_checks(Settings(specs=folder, state_dir=tmp_path), Machine()))[
            "manifests"
        ]

    assert manifests(tmp_path / "none").status == "fail"
    assert manifests(specs).status == "warn"
    write(specs / "job.yaml", trainjob())
    assert manifests(specs).status == "ok"
    write(specs / "bad.yaml", trainjob("bad", trainer={"numNodes": -1}))
    assert (manifests(specs).status, manifests(specs).remedy) == ("warn", f"reconciler validate {specs}")


def test_a_folder_that_cannot_be_made_fails(tmp_path, specs):
    (tmp_path / "file").write_text("")

    found = by_name(
        folder_checks.folder_checks(Settings(specs=specs, log_dir=tmp_path / "file" / "logs"), Machine())
    )

    assert found["folder for logs"].status == "fail"
    assert "--log-dir" in found["folder for logs"].remedy


@pytest.mark.parametrize(
    ("version", "details", "name", "status"),
    [
        ("3.4.4", {}, "engine's version", "fail"),
        ("4.3.1", {}, "engine's version", "ok"),
        ("5.6.0-dev", {}, "engine's version", "ok"),
        ("4.3.1", {"network_backend": "netavark"}, "network and DNS", "ok"),
        ("4.3.1", {"network_backend": "cni"}, "network and DNS", "warn"),
        ("4.3.1", {"cgroup_version": "1"}, "limits in containers", "ok"),
        ("4.3.1", {"storage_driver": "vfs"}, "image store", "warn"),
        ("4.3.1", {"storage_driver": "overlay"}, "image store", "ok"),
        ("4.3.1", {"cgroup_version": "2", "cgroup_controllers": ("pids",)}, "limits in containers", "warn"),
    ],
)
def test_what_podman_says_of_itself(version, details, name, status):
    info = EngineInfo(name="podman", version=version, details=details)

    found = by_name(info_checks(info, Machine()))[name]
    assert found.status == status
    assert (found.remedy == "") == (status == "ok")


@pytest.mark.parametrize(
    ("details", "name", "status", "words"),
    [
        ({"cgroup_version": "1"}, "limits in containers", "warn", "unified_cgroup_hierarchy=1"),
        (
            {"cgroup_version": "2", "cgroup_controllers": ("memory", "pids")},
            "limits in containers",
            "warn",
            "Delegate=",
        ),
        (
            {"cgroup_version": "2", "cgroup_controllers": ("cpu", "memory", "pids")},
            "limits in containers",
            "ok",
            "",
        ),
        ({"mapped_users": 1}, "users in containers", "fail", "podman system migrate"),
        ({"mapped_users": 65537}, "users in containers", "ok", ""),
        ({"network_backend": "netavark"}, "network and DNS", "fail", "dnf install -y netavark aardvark-dns"),
    ],
)
def test_what_rootless_podman_says_of_itself(tmp_path, details, name, status, words):
    info = EngineInfo(name="podman", version="4.9.0", rootless=True, host="unix:///x", details=details)
    place = machine(
        tmp_path, {"run/systemd/system/x": "", "etc/os-release": 'ID=rocky\nID_LIKE="rhel fedora"'}
    )

    found = by_name(info_checks(info, place))[name]

    assert (found.status, found.remedy == "") == (status, status == "ok")
    assert words in found.remedy


def test_aardvark_is_looked_for_where_podman_keeps_its_helpers(tmp_path):
    info = EngineInfo(
        name="podman", version="5.0.0", host="unix:///x", details={"network_backend": "netavark"}
    )
    place = machine(tmp_path, {"usr/libexec/podman/aardvark-dns": ""})

    assert by_name(info_checks(info, place))["network and DNS"].status == "ok"


def test_the_command_on_an_engine_that_is_always_there(cli, specs):
    write(specs / "job.yaml", trainjob())

    done = cli("doctor", "--engine", "process", "-o", "json")

    said = json.loads(done.stdout)
    checks = {check["name"]: check for check in said["checks"]}
    assert checks["engine"]["status"] == "ok"
    assert checks["manifests"]["status"] == "ok"
    assert done.exit_code == (0 if said["ok"] else 1)
    assert cli("doctor", "--engine", "process").stdout.startswith("✓  engine")


def test_no_engine_fails_and_says_how_to_start_one(cli, specs, tmp_path):
    socket = f"unix://{tmp_path}/none.sock"

    done = cli("doctor", "--engine", "podman", "--container-host", socket, "-o", "json")

    assert done.exit_code == 1
    engine = json.loads(done.stdout)["checks"][0]
    assert (engine["name"], engine["status"]) == ("engine", "fail")
    assert "none.sock" in engine["detail"]
    assert engine["remedy"]
