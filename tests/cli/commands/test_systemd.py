"""The units and `reconciler systemd`, as far as no systemd has to run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli.service import unit_files
from reconciler.errors import ReconcilerError
from tests.support.workspaces import ROOT

UNITS = ROOT / "systemd"
PLACES = ["/home/u/jobs", "/home/u/my jobs", '/srv/100% $HOME/it\'s "it"\\', "/home/ü/目录", "/a;b|c#d"]


def verify(folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """``systemd-analyze verify``, with a home in which the units' program is."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    program = folder / ".local/bin/reconciler"
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/true", program)
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "LC_ALL": "C.UTF-8"}
    command = ["systemd-analyze", "--user", "--man=no", "--recursive-errors=no", "verify", *map(str, paths)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    done = verify(tmp_path, UNITS / "reconciler.service", UNITS / "reconciler@.service")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", [unit_files.UNIT, unit_files.TEMPLATE])
def test_systemd_finds_no_fault_in_what_install_writes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    specs = None if name == unit_files.TEMPLATE else Path("/home/u/my jobs")
    path.write_text(unit_files.written(name, specs=specs, options=("--max-jobs", "2", "--instance", "a b")))

    done = verify(tmp_path, path)

    assert (done.returncode, done.stderr) == (0, "")
    assert unit_files.is_ours(path.read_text())
    assert str(Path(sys.executable).parent) in path.read_text()


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_of_any_name_is_one_word_and_found_again(tmp_path: Path, place: str) -> None:
    text = unit_files.written(unit_files.UNIT, specs=Path(place), options=())
    path = tmp_path / "reconciler.service"
    path.write_text(text)

    assert unit_files.folder_of(text) == place
    done = verify(tmp_path, path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_service_that_follows_a_repository_names_no_folder() -> None:
    text = unit_files.written(
        unit_files.UNIT, specs=None, options=("--git", "https://git.example.com/jobs.git")
    )

    (command,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert "--specs" not in command
    assert command.endswith("--git https://git.example.com/jobs.git")
    assert unit_files.folder_of(text) == ""


def test_a_line_break_would_end_the_line() -> None:
    with pytest.raises(ReconcilerError, match="line break"):
        unit_files.written(unit_files.UNIT, specs=Path("/a\nExecStartPre=/bin/false"), options=())


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="there is a systemd here")
@pytest.mark.parametrize("command", [["install", "--specs", "x"], ["status"], ["uninstall"]])
def test_without_systemd_a_sentence_says_so(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "systemd", *command],
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "This machine is not run by systemd" in done.stderr
    assert "reconciler run" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_units_leave_jobs_alone_and_are_pinged_by_the_work() -> None:
    for path in sorted(UNITS.iterdir()):
        lines = path.read_text().splitlines()
        for wanted in ("Type=notify", "KillMode=process", "OOMPolicy=continue", "Restart=on-failure"):
            assert wanted in lines, path
        assert any(line.startswith("WatchdogSec=") for line in lines)
        # Each credential has a blank one to fall back on: a missing file must not keep it from starting.
        loaded = {line.split(":")[0].removeprefix("LoadCredential=") for line in lines if "LoadCr" in line}
        blank = {line.split(":")[0].removeprefix("SetCredential=") for line in lines if "SetCr" in line}
        assert loaded == blank
