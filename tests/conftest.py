"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no bug: how long one example takes is asserted nowhere.
settings.register_profile("reconciler", deadline=None)
settings.load_profile("reconciler")

_CONFORMANCE = Path(__file__).resolve().parents[1].parent / "shared" / "conformance"


@pytest.fixture(scope="session")
def conformance() -> Path:
    """Folder of upstream's behaviour as data, read in place; tests that need it are skipped without it."""
    if not _CONFORMANCE.is_dir():
        pytest.skip(f"the conformance data is not at {_CONFORMANCE}")
    return _CONFORMANCE
