"""What breaks reading and writing logs: an engine that does not give them, and a disk without room."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.proxies import Proxy
from tests.support.workspaces import Workspace


class LogsHeldBack(Proxy):
    """A proxy that passes everything on but requests for logs, until :meth:`release`."""

    def __init__(self, path: Path, target: str) -> None:
        super().__init__(path, target)
        self._released = threading.Event()
        #: Set when a request for a log is held back.
        self.asked = threading.Event()

    def release(self) -> None:
        """Pass on what was held back, and all that comes."""
        self._released.set()

    def _pump(self, source: socket.socket, sink: socket.socket, watched: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if watched and b"/logs?" in data.partition(b"\r\n")[0] and not self._released.is_set():
                    self.asked.set()
                    self._released.wait(120)
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def held_back(docker: Workspace) -> Iterator[LogsHeldBack]:
    """Docker's daemon behind a proxy, for the command of the workspace ``docker``."""
    proxy = LogsHeldBack(Path(f"/tmp/rec-{uuid.uuid4().hex[:8]}.sock"), docker.url)
    proxy.mend()
    docker.settings["CONTAINER_HOST"] = proxy.url
    yield proxy
    proxy.release()
    proxy.cut()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB that is full; ``filler`` is what fills it."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    with (folder / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
