"""Checks of git and the programs it needs."""

from __future__ import annotations

import pytest

from reconciler.cli.doctor.git_checks import git_checks
from reconciler.config.git_urls import parse_url
from reconciler.config.settings import Settings


@pytest.mark.parametrize(
    ("printed", "verify", "status", "words"),
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
def test_version_of_git(machine, printed, verify, status, words):
    url = parse_url("https://git.example.com/jobs.git")
    settings = Settings(git=url, git_verify=verify)
    debian = machine({"etc/os-release": "ID=debian\n"}, run=lambda _command: printed)

    (found,) = git_checks(settings, debian)

    assert (found.name, found.status) == ("git", status), found
    assert words in found.remedy


def test_ssh_and_gpg_are_checked_where_they_are_used(machine, tmp_path):
    settings = Settings(
        state_dir=tmp_path, git=parse_url("ssh://git@example.com/x"), git_verify=True, git_gpg_keys=tmp_path
    )
    programs = {"git": "git version 2.40.1"}
    fedora = machine({"etc/os-release": "ID=fedora\n"}, run=lambda command: programs.get(command[0]))

    found = {check.name: check for check in git_checks(settings, fedora)}

    assert {name: check.status for name, check in found.items()} == {
        "git": "ok",
        "ssh for git": "fail",
        "gpg for git": "fail",
    }
    assert found["ssh for git"].remedy == "sudo dnf install -y openssh-clients"
    assert found["gpg for git"].remedy == "sudo dnf install -y gnupg2"


def test_a_folder_needs_no_git(machine, tmp_path, specs):
    assert list(git_checks(Settings(specs=specs, state_dir=tmp_path), machine({}))) == []
