"""The check of a doctor in a container: whether what jobs mount is where the engine outside looks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.doctor.check import Check
from reconciler.cli.doctor.state_mount_checks import state_mount_checks
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings

OWN = "600 1 0:50 / / rw - overlay overlay rw"
SOCKET = "601 600 0:24 /user/1000/podman/podman.sock /run/user/1000/podman/podman.sock rw - tmpfs tmpfs rw"


def run_checks(tmp_path: Path, *lines: str) -> list[Check]:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "self" / "mountinfo").write_text("\n".join([OWN, *lines]) + "\n")
    settings = Settings(state_dir=Path("/home/me/my state"))
    return list(state_mount_checks(settings, Machine(root=tmp_path, uid=0, user="root")))


def test_nothing_is_checked_without_a_mounted_socket(tmp_path: Path) -> None:
    assert run_checks(tmp_path, r"602 600 8:1 /x /home rw - ext4 /dev/sda1 rw") == []


@pytest.mark.parametrize(
    "line",
    [
        r"602 600 8:1 /home/me/my\040state /home/me/my\040state rw - ext4 /dev/sda1 rw",
        r"602 600 8:2 /me/my\040state /home/me/my\040state rw - ext4 /dev/sda2 rw",
        r"602 600 8:2 /me /home/me rw - ext4 /dev/sda2 rw",
        r"602 600 8:2 / /home rw - ext4 /dev/sda2 rw",
        r"602 600 0:9 /@home/me/my\040state /home/me/my\040state rw - btrfs /dev/sda3 rw",
    ],
)
def test_folder_mounted_at_its_own_path(tmp_path: Path, line: str) -> None:
    (check,) = run_checks(tmp_path, SOCKET, line)

    assert (check.status, check.remedy) == ("ok", "")


def test_folder_of_the_container_itself_fails(tmp_path: Path) -> None:
    (check,) = run_checks(tmp_path, SOCKET)

    assert check.status == "fail"
    assert "/home/me/my state is this container's own" in check.detail
    assert "-v DIR:DIR" in check.remedy


def test_folder_mounted_at_another_path_fails(tmp_path: Path) -> None:
    (check,) = run_checks(
        tmp_path, SOCKET, r"602 600 8:1 /srv/state /home/me/my\040state rw - ext4 /dev/sda1 rw"
    )

    assert check.status == "fail"
    assert "/home/me/my state is /srv/state outside" in check.detail
