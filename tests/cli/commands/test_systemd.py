"""``reconciler systemd`` on a machine without systemd; ``tests/deploy`` has one with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(Path("/run/systemd/system").exists(), reason="there is a systemd here")
@pytest.mark.parametrize("command", [["install", "--specs", "x"], ["status"], ["uninstall"]])
def test_without_systemd(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "systemd", *command],
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "This machine is not run by systemd" in done.stderr
    assert "reconciler run" in done.stderr
    assert list(tmp_path.iterdir()) == []
