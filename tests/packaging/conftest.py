"""The built packages, made once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging import builds
from tests.support import engines


@pytest.fixture(scope="session")
def dists(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """sdist and wheel."""
    return builds.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def sdist(dists: tuple[Path, Path]) -> Path:
    return dists[0]


@pytest.fixture(scope="session")
def wheel(dists: tuple[Path, Path]) -> Path:
    return dists[1]


@pytest.fixture(scope="session")
def podman() -> Iterator[str]:
    """URL of a Podman that stays for the length of the tests."""
    with engines.using_engines():
        try:
            yield engines.ensure_engine("podman")
        except engines.EngineMissing as error:
            pytest.skip(f"podman: {error}")
