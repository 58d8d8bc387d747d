"""The check of the clock."""

from __future__ import annotations

import os
import time

import pytest

from reconciler.cli.doctor.clock_checks import clock_checks
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings


def test_clock_behind_written_files_fails(machine, tmp_path, specs):
    settings = Settings(specs=specs, state_dir=tmp_path)

    (found,) = clock_checks(settings, machine({}, now=lambda: 0.0, is_clock_synchronized=lambda: True))
    assert (found.status, "1970-01-01" in found.detail) == ("fail", True)

    # A daemon has run while the clock was a year ahead.
    records = tmp_path / "records" / settings.instance
    records.mkdir(parents=True)
    ahead = time.time() + 365 * 86_400
    os.utime(records, (ahead, ahead))
    (found,) = clock_checks(settings, machine({}, is_clock_synchronized=lambda: True))
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
def test_unsynchronized_clock_warns_with_this_machines_remedy(machine, tmp_path, specs, files, words):
    settings = Settings(specs=specs, state_dir=tmp_path)
    where = machine(files, is_clock_synchronized=lambda: False)

    (found,) = clock_checks(settings, where)

    assert (found.status, words in found.remedy) == ("warn", True), found
    for answer, shown in ((True, True), (None, False)):
        (kept,) = clock_checks(settings, machine(files, is_clock_synchronized=lambda answer=answer: answer))
        assert (kept.status, "synchronized" in kept.detail) == ("ok", shown)


def test_kernel_says_whether_clock_is_synchronized():
    assert Machine().is_clock_synchronized() in {True, False, None}
