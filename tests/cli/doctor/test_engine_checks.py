"""Checks of what the engine says of itself."""

from __future__ import annotations

import pytest

from reconciler.cli.doctor.check import Check
from reconciler.cli.doctor.engine_checks import engine_checks
from reconciler.cli.machine import Machine
from reconciler.engines.protocol import EngineInfo


def run_checks(info: EngineInfo, machine: Machine) -> dict[str, Check]:
    return {check.name: check for check in engine_checks(info, machine)}


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
def test_podman(version, details, name, status):
    info = EngineInfo(name="podman", version=version, details=details)

    found = run_checks(info, Machine())[name]
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
def test_rootless_podman(machine, details, name, status, words):
    info = EngineInfo(name="podman", version="4.9.0", rootless=True, host="unix:///x", details=details)
    rocky = machine({"run/systemd/system/x": "", "etc/os-release": 'ID=rocky\nID_LIKE="rhel fedora"'})

    found = run_checks(info, rocky)[name]

    assert (found.status, found.remedy == "") == (status, status == "ok")
    assert words in found.remedy


def test_aardvark_in_podmans_helper_folder(machine):
    info = EngineInfo(
        name="podman", version="5.0.0", host="unix:///x", details={"network_backend": "netavark"}
    )
    installed = machine({"usr/libexec/podman/aardvark-dns": ""})

    assert run_checks(info, installed)["network and DNS"].status == "ok"
