"""Rendezvous ports reserved by the networks of all this user's daemons on the machine.

A job listens on its port only seconds after the port was chosen (importing torch takes so long): trying
whether it is free is not enough. What can go wrong: another user's daemon chooses the same port in those
seconds; the later job then fails to listen, and is restarted as any failing job is.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from reconciler.engines.process.state_folder import file_lock
from reconciler.engines.process.supervisor import json_files


def default_folder() -> Path:
    """Returns ``reconciler-<uid>`` in the temporary folder, the same for every daemon of the user."""
    return Path(tempfile.gettempdir()) / f"reconciler-{os.getuid()}"


class PortReservations:
    """Files named by port, each naming the network record that makes it valid.

    Args:
        folder: shared by all daemons of the user.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other daemons out; without a folder of this user nothing is locked or reserved."""
        if not self._is_trusted():
            yield
            return
        with file_lock(self._folder / "lock"):
            yield

    def _is_trusted(self) -> bool:
        """A folder that another user made in the shared temporary folder is not trusted."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            found = self._folder.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()

    def list_taken(self) -> set[int]:
        """Returns the ports of networks that still exist; drops the reservations of others."""
        ports = set()
        for path in self._folder.glob("[0-9]*") if self._is_trusted() else ():
            if self._is_valid(path):
                ports.add(int(path.name))
            else:
                path.unlink(missing_ok=True)
        return ports

    def _is_valid(self, path: Path) -> bool:
        try:
            held = json_files.read(str(path)) or {}
            network = json_files.read(held["record"])
        except (ValueError, KeyError, OSError):
            return False
        return network is not None and network.get("id") == held.get("id")

    def take(self, port: int, *, record: Path, network_id: str) -> None:
        """Reserves a port for as long as ``record`` is that of this network."""
        if self._is_trusted():
            json_files.write(str(self._folder / str(port)), {"record": str(record), "id": network_id})
