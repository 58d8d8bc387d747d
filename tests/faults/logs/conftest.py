"""What breaks reading and writing logs: an engine that does not give them, and a disk without room."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import small_disks
from tests.support.proxies import Exchange, Proxy, stand_between
from tests.support.workspaces import Workspace


@dataclass(frozen=True)
class LogsHeldBack:
    """An engine that passes everything on but requests for logs, until :meth:`release`.

    Attributes:
        asked: set when a request for a log is held back.
    """

    proxy: Proxy
    asked: threading.Event

    def release(self) -> None:
        """Pass on what was held back, and all that comes."""
        self.proxy.clear()


def _hold_back(exchange: Exchange) -> None:
    exchange.wait(120)
    exchange.pass_on(exchange.ask())


@pytest.fixture
def held_back(docker: Workspace) -> Iterator[LogsHeldBack]:
    """Docker's daemon behind a proxy, for the command of the workspace ``docker``."""
    with stand_between(docker) as proxy:
        yield LogsHeldBack(proxy, proxy.on("GET", r"/logs\?", _hold_back).struck)
        proxy.clear()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB that is full; ``filler`` is what fills it."""
    with small_disks.small_disk(tmp_path / "small", "512k") as folder:
        small_disks.fill(folder / "filler", 4096)
        yield folder
