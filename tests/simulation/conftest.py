"""Folders for the simulation, on a RAM disk where there is one: it writes some hundred thousand small files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

RAM = Path("/dev/shm")


@pytest.fixture
def ram_folder() -> Iterator[Path]:
    """An empty folder, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="simulation-", dir=RAM if RAM.is_dir() else None))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
