"""Checks of the folders: manifests, statuses, records, logs, and the room on their disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.doctor.check import Check
from reconciler.cli.doctor.folder_checks import folder_checks
from reconciler.cli.machine import Machine
from reconciler.config.settings import Settings
from tests.cli.samples import trainjob, write


def run_checks(settings: Settings, machine: Machine | None = None) -> dict[str, Check]:
    return {check.name: check for check in folder_checks(settings, machine or Machine())}


@pytest.mark.parametrize(("free", "status"), [(50, "ok"), (5, "warn"), (0.5, "fail")])
def test_free_space(machine, tmp_path, specs, free, status):
    small = machine({}, disk_free=lambda _: int(free * 1024**3))

    found = run_checks(Settings(specs=specs, state_dir=tmp_path), small)

    assert found["disk for logs and records"].status == status


def test_folder_of_manifests(tmp_path, specs):
    def manifests(folder: Path) -> Check:
        return run_checks(Settings(specs=folder, state_dir=tmp_path))["manifests"]

    assert manifests(tmp_path / "none").status == "fail"
    assert manifests(specs).status == "warn"
    write(specs / "job.yaml", trainjob())
    assert manifests(specs).status == "ok"
    write(specs / "bad.yaml", trainjob("bad", trainer={"numNodes": -1}))
    assert (manifests(specs).status, manifests(specs).remedy) == ("warn", f"reconciler validate {specs}")


def test_folder_that_cannot_be_made_fails(tmp_path, specs):
    (tmp_path / "file").write_text("")

    found = run_checks(Settings(specs=specs, log_dir=tmp_path / "file" / "logs"))

    assert found["folder for logs"].status == "fail"
    assert "--log-dir" in found["folder for logs"].remedy
