"""Running commands as users do, in a folder and home of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli.main import app
from tests.cli.samples import RUNTIME, write

Cli = Callable[..., Result]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """No setting of the developer's own reaches a test."""
    for name in list(os.environ):
        if name.startswith(("RECONCILER_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def specs(home: Path) -> Path:
    """``./specs`` with one runtime."""
    write(home / "specs" / "runtime.yaml", RUNTIME)
    return home / "specs"


@pytest.fixture
def cli() -> Cli:
    """``cli("get", "jobs")`` as from a shell that is no terminal."""

    def run(*args: str | Path, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)

    return run
