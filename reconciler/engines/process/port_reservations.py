"""Rendezvous ports held by networks of all this user's daemons on the machine, whatever their state folders.

A port is only listened on seconds after it was given out (torch takes its time to be imported): trying
whether it is free is not enough. What can go wrong: another user's daemon gives out the same port in those
seconds; the later job then fails to listen, and is restarted as any failing job is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from reconciler.engines.process.supervisor import json_files


def default_folder() -> Path:
    """``reconciler-<uid>`` in the machine's folder for temporary files, as it is known to every daemon."""
    return Path(tempfile.gettempdir()) / f"reconciler-{os.getuid()}"


class Reservations:
    """Files named by port, each naming the network record that makes it valid.

    Args:
        folder: shared by all daemons of the user.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold off every other daemon; without a folder of our own nothing is held or reserved."""
        if not self._usable():
            yield
            return
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    def _usable(self) -> bool:
        """A folder that somebody else made in a place open to all is not trusted."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            found = self._folder.lstat()
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()

    def taken(self) -> set[int]:
        """Ports of networks that still exist; forgets the others."""
        ports = set()
        for path in self._folder.glob("[0-9]*") if self._usable() else ():
            if self._valid(path):
                ports.add(int(path.name))
            else:
                path.unlink(missing_ok=True)
        return ports

    def _valid(self, path: Path) -> bool:
        try:
            held = json_files.read(str(path)) or {}
            network = json_files.read(held["record"])
        except (ValueError, KeyError, OSError):
            return False
        return network is not None and network.get("id") == held.get("id")

    def take(self, port: int, *, record: Path, network_id: str) -> None:
        """Reserve a port for as long as ``record`` is that of this network."""
        if self._usable():
            json_files.write(str(self._folder / str(port)), {"record": str(record), "id": network_id})
