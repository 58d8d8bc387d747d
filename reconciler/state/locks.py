"""Locks that keep a specs folder, an instance and their state to one daemon.

Three are held together (:func:`hold_daemon_locks`), because daemons may meet in any of three places:

* :class:`FileLock`, a file in the state folder: daemons of one instance with the same state folder;
* :class:`FolderLock`, the specs folder itself: daemons of one folder with different state folders;
* :class:`InstanceLock`, a name in the kernel: daemons of one instance in different folders. Everything on the
  engine carries the instance, and a daemon takes what carries its own for its own: two daemons of one
  instance (one git URL followed twice, one ``--instance`` given twice) would each remove what the other
  starts.

All three go with the process, however it ends. What can go wrong: a file system without locks (then there is
none in the folder); other systems than Linux have no names in the kernel, and each container with a network
of its own has its own table of them: there the locks in the folders are all there is. Another user may take
the name; that is detected, and ignored.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from reconciler.common.socket_peers import find_listener
from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.state.atomic_files import state_error
from reconciler.state.state_directory import prepare_state_directory

_LOCKED: Final = frozenset({errno.EWOULDBLOCK, errno.EACCES})
#: Connections of those that ask for the holder; they stay in the queue, because nothing accepts them.
_BACKLOG: Final = 64


@contextlib.contextmanager
def hold_daemon_locks(settings: Settings) -> Iterator[None]:
    """Keep other daemons from the folder, the instance and the state folder while the block runs.

    Raises:
        StateError: another daemon holds the folder or has its instance, or the state folder cannot be used.
    """
    prepare_state_directory(settings.state_dir)
    since = datetime.now(tz=UTC).isoformat(timespec="seconds")
    command = f"reconciler run --specs {settings.specs}"
    # The state folder's lock is released last: a daemon that waits for that one finds the others free.
    with (
        daemon_lock(settings).acquire(command=command, since=since),
        # A followed repository is locked by its instance: its folder changes with every revision.
        FolderLock(settings.git_folder or settings.specs).acquire(),
        InstanceLock(settings.instance).acquire(),
    ):
        yield


def daemon_lock(settings: Settings) -> FileLock:
    """The lock file of an instance's daemon; not acquired."""
    return FileLock(settings.state_dir / "locks" / f"{settings.instance}.lock")


class _Lock(ABC):
    """Released at the end of a ``with`` block."""

    @abstractmethod
    def release(self) -> None:
        """Give the lock back; without effect when it is not held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class FileLock(_Lock):
    """An advisory lock on a file, held until released or until the process ends, however it ends.

    The file says who holds it: pid, since when, and the command, a line each. It is never removed:
    removing it would let two processes lock two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, *, command: str, since: str) -> Self:
        """Take the lock, without waiting.

        Args:
            command: what this process is, shown to whoever finds the lock taken.
            since: the time now, as text.

        Raises:
            StateError: another process holds it (the message says which), or the file cannot be opened.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise state_error("open the lock", self.path, error) from error
        try:
            _lock(fd)
        except OSError as error:
            if error.errno in _LOCKED:
                who = self.holder() or "another process"
                raise StateError(
                    f"Another reconciler works on this folder already ({who}; lock {self.path}).",
                    remedy="Stop it first, or give this one another folder with --specs.",
                ) from error
            raise state_error("lock", self.path, error) from error
        self._fd = fd
        text = f"{os.getpid()}\n{since}\n{command.replace(chr(10), ' ')}\n"
        # A full disk must not keep the daemon from running: the lock holds without its text.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, text.encode(), 0)
        return self

    def release(self) -> None:  # noqa: D102
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)

    def holder(self) -> str:
        """Who holds it (``pid 12, "reconciler run", since ...``); "" when the file does not say."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        if len(lines) < 3:
            return ""
        return f'pid {lines[0]}, "{lines[2]}", since {lines[1]}'


class FolderLock(_Lock):
    """An advisory lock on a folder itself; a file system without such locks is taken as it is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd: int | None = None

    def acquire(self) -> Self:
        """Take the lock, without waiting; a folder that is not there has none.

        Raises:
            StateError: another process holds it.
        """
        try:
            fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return self
        try:
            _lock(fd)
        except OSError as error:
            if error.errno not in _LOCKED:
                return self
            raise StateError(
                f"Another daemon works on the folder {self._folder}, with another state folder.",
                remedy="Stop it, or give this one a folder of its own.",
            ) from error
        self._fd = fd
        return self

    def release(self) -> None:  # noqa: D102
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class InstanceLock(_Lock):
    """A lock on an instance: a name in the kernel's table of abstract sockets, per user.

    Args:
        instance: the instance to hold.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._name = f"\0reconciler.trainer.kubeflow.org/{os.geteuid()}/{instance}"
        self._socket: socket.socket | None = None

    def acquire(self) -> Self:
        """Take the lock, without waiting.

        Raises:
            StateError: another daemon of this user has it; the message says which.
        """
        if sys.platform != "linux":
            return self
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.bind(self._name)
            made.listen(_BACKLOG)
        except OSError as error:
            made.close()
            if error.errno != errno.EADDRINUSE:
                return self
            holder = find_listener(self._name, timeout=1.0)
            if holder is not None and holder[1] != os.geteuid():
                return self
            raise self._taken(holder[0] if holder is not None else 0) from error
        self._socket = made
        return self

    def release(self) -> None:  # noqa: D102
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _taken(self, process: int) -> StateError:
        command = ""
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            command = b" ".join(words).decode(errors="replace")[:300]
        who = f'pid {process}, "{command}"' if process and command else "another process"
        return StateError(
            f"Another reconciler has the instance {self._instance} already ({who}), with another state "
            "folder: each would take the other's containers for its own.",
            remedy="Stop it first, or give this one a name of its own with --instance.",
        )


def _lock(fd: int) -> None:
    """Lock an open file without waiting; closes it where that fails.

    Raises:
        OSError: another process holds the lock, or the file system has none.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
