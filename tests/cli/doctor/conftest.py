"""A machine of the files that a test names, and the checks of a family by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.machine import Machine

MakeMachine = Callable[..., Machine]


@pytest.fixture
def machine(tmp_path: Path) -> MakeMachine:
    """``machine({"etc/os-release": "ID=debian"}, uid=0)``: by default an ordinary user's on Linux."""
    root = tmp_path / "root"

    def make(files: dict[str, str], **facts: Any) -> Machine:
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Machine(**{"root": root, "uid": 1000, "user": "me", "platform": "linux", **facts})

    return make
