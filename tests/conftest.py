"""What every test may use."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import extent, images
from tests.support.early_words import EarlyWords
from tests.support.proxies import FaultyEngine, Proxy, Target, stand_between

# A busy machine is no bug: how long one example takes is asserted nowhere.
settings.register_profile("reconciler", deadline=None)
settings.load_profile("reconciler")


def pytest_configure(config: pytest.Config) -> None:
    """Has failures named at once, by the process that prints."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(EarlyWords(config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out, counted, what another engine runs; see :mod:`tests.support.extent`."""
    if not extent.LONG:
        kept, dropped = extent.drop_other_engines(items)
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


_CONFORMANCE = Path(__file__).resolve().parents[1].parent / "shared" / "conformance"


@pytest.fixture(scope="session")
def conformance() -> Path:
    """Folder of upstream's behaviour as data, read in place; tests that need it are skipped without it."""
    if not _CONFORMANCE.is_dir():
        pytest.skip(f"the conformance data is not at {_CONFORMANCE}")
    return _CONFORMANCE


@pytest.fixture(scope="session")
def torch_site() -> Path:
    """Folder with PyTorch for Python 3.11."""
    try:
        return images.ensure_site()
    except images.ImageMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def torch_here(torch_site: Path) -> Path:
    """The same, for the Python that runs the tests."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("PyTorch for tests is installed for Python 3.11, which this is not")
    return torch_site


@pytest.fixture
def faulty_engine() -> Iterator[FaultyEngine]:
    """Puts a proxy between a workspace's daemon (or a bench) and its engine; see :mod:`tests.support.proxies`."""
    with contextlib.ExitStack() as stack:

        def make(target: Target) -> Proxy:
            return stack.enter_context(stand_between(target))

        yield make
