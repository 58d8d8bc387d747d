"""The unit files, shipped and as ``reconciler systemd install`` writes them; no systemd has to run."""

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


def test_systemd_accepts_the_shipped_units(tmp_path: Path) -> None:
    done = verify(tmp_path, UNITS / "reconciler.service", UNITS / "reconciler@.service")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", [unit_files.UNIT, unit_files.TEMPLATE])
def test_systemd_accepts_the_rendered_units(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    specs = None if name == unit_files.TEMPLATE else Path("/home/u/my jobs")
    path.write_text(
        unit_files.render_unit(name, specs=specs, options=("--max-jobs", "2", "--instance", "a b"))
    )

    done = verify(tmp_path, path)

    assert (done.returncode, done.stderr) == (0, "")
    assert unit_files.is_generated(path.read_text())
    assert str(Path(sys.executable).parent) in path.read_text()


@pytest.mark.parametrize("place", PLACES)
def test_folder_of_any_name_is_one_word_and_parsed_again(tmp_path: Path, place: str) -> None:
    text = unit_files.render_unit(unit_files.UNIT, specs=Path(place), options=())
    path = tmp_path / "reconciler.service"
    path.write_text(text)

    assert unit_files.parse_specs(text) == place
    done = verify(tmp_path, path)
    assert (done.returncode, done.stderr) == (0, "")


def test_unit_for_a_repository_names_no_folder() -> None:
    text = unit_files.render_unit(
        unit_files.UNIT, specs=None, options=("--git", "https://git.example.com/jobs.git")
    )

    (command,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert "--specs" not in command
    assert command.endswith("--git https://git.example.com/jobs.git")
    assert unit_files.parse_specs(text) == ""


def test_line_break_is_refused() -> None:
    with pytest.raises(ReconcilerError, match="line break"):
        unit_files.render_unit(unit_files.UNIT, specs=Path("/a\nExecStartPre=/bin/false"), options=())


def test_required_directives() -> None:
    for path in sorted(UNITS.iterdir()):
        lines = path.read_text().splitlines()
        for wanted in ("Type=notify", "KillMode=process", "OOMPolicy=continue", "Restart=on-failure"):
            assert wanted in lines, path
        assert any(line.startswith("WatchdogSec=") for line in lines)
        # Each credential has a blank one to fall back on: a missing file must not keep it from starting.
        loaded = {line.split(":")[0].removeprefix("LoadCredential=") for line in lines if "LoadCr" in line}
        blank = {line.split(":")[0].removeprefix("SetCredential=") for line in lines if "SetCr" in line}
        assert loaded == blank
