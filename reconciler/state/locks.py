"""Locks that keep a specs folder, an instance and their state to one daemon.

Three are held together (:func:`hold_daemon_locks`), because daemons may meet in any of three places:

* :func:`lock_file`, a file in the state folder: daemons of one instance with the same state folder;
* :func:`lock_folder`, the specs folder itself: daemons of one folder with different state folders;
* :func:`lock_instance`, a name in the kernel: daemons of one instance in different folders. Everything on the
  engine carries the instance, and a daemon takes what carries its own for its own: two daemons of one
  instance (one git URL followed twice, one ``--instance`` given twice) would each remove what the other
  starts.

Each is held while its block runs, and goes with the process, however it ends. What can go wrong: a file
system without locks (then there is none in the folder); other systems than Linux have no names in the kernel,
and each container with a network of its own has its own table of them: there the locks in the folders are all
there is. Another user may take the name; that is detected, and ignored.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from reconciler.common.socket_peers import find_listener
from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.state.atomic_files import state_error
from reconciler.state.state_directory import prepare_state_directory

#: Seconds after which a lock that somebody has is somebody's indeed, and not only looked at.
LOCK_PATIENCE: Final = 0.1
_LOCKED: Final = frozenset({errno.EWOULDBLOCK, errno.EACCES})
#: Connections of those that ask for the holder; they stay in the queue, because nothing accepts them.
_BACKLOG: Final = 64


@contextmanager
def hold_daemon_locks(settings: Settings) -> Iterator[None]:
    """Keep other daemons from the folder, the instance and the state folder while the block runs.

    Raises:
        StateError: another daemon holds the folder or has its instance, or the state folder cannot be used.
    """
    prepare_state_directory(settings.state_dir)
    # The state folder's lock is released last: a daemon that waits for that one finds the others free.
    with (
        lock_file(daemon_lock_path(settings), command=f"reconciler run --specs {settings.specs}"),
        # A followed repository is locked by its instance: its folder changes with every revision.
        lock_folder(settings.git_folder or settings.specs),
        lock_instance(settings.instance),
    ):
        yield


def daemon_lock_path(settings: Settings) -> Path:
    """The lock file of an instance's daemon."""
    return settings.state_dir / "locks" / f"{settings.instance}.lock"


@contextmanager
def lock_file(path: Path, *, command: str) -> Iterator[None]:
    """Hold an advisory lock on a file while the block runs, without waiting for it.

    The file says who holds it: pid, since when, and the command, a line each. It is never removed:
    removing it would let two processes lock two files of one name.

    ``command`` is what this process is, shown to whoever finds the lock taken.

    Raises:
        StateError: another process holds it (the message says which), or the file cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise state_error("open the lock", path, error) from error
    with os.fdopen(fd, "r+b"):
        try:
            _lock_patiently(fd)
        except OSError as error:
            if error.errno in _LOCKED:
                who = describe_holder(path) or "another process"
                raise StateError(
                    f"Another reconciler works on this folder already ({who}; lock {path}).",
                    remedy="Stop it first, or give this one another folder with --specs.",
                ) from error
            raise state_error("lock", path, error) from error
        since = datetime.now(tz=UTC).isoformat(timespec="seconds")
        text = f"{os.getpid()}\n{since}\n{command.replace(chr(10), ' ')}\n"
        # A full disk must not keep the daemon from running: the lock holds without its text.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, text.encode(), 0)
        try:
            yield
        finally:
            with suppress(OSError):
                os.ftruncate(fd, 0)


def _lock_patiently(fd: int) -> None:
    """Takes the lock; who only looks (:func:`find_holder`) has it for less than the patience.

    Raises:
        OSError: another process holds it.
    """
    deadline = time.monotonic() + LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _LOCKED or time.monotonic() >= deadline:
                raise
            time.sleep(LOCK_PATIENCE / 10)
        else:
            return


def describe_holder(path: Path) -> str:
    """Who holds a lock file (``pid 12, "reconciler run", since ...``); "" when it does not say."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return f'pid {lines[0]}, "{lines[2]}", since {lines[1]}' if len(lines) >= 3 else ""


def find_holder(path: Path) -> str:
    """Who holds a lock file now; "" where nobody does, whatever its text says of a process that was killed.

    A lock that is free is taken for a moment, so this is asked only of one whose process is gone, or may be
    another's by now: a daemon that starts in that moment tries again.
    """
    described = describe_holder(path)
    if not described:
        return ""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return described
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return described if error.errno in _LOCKED else ""
    else:
        return ""
    finally:
        os.close(fd)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold an advisory lock on a folder itself while the block runs, without waiting for it.

    A folder that is not there has none, and a file system without such locks is taken as it is.

    Raises:
        StateError: another process holds it.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _LOCKED:
                raise StateError(
                    f"Another daemon works on the folder {folder}, with another state folder.",
                    remedy="Stop it, or give this one a folder of its own.",
                ) from error
        yield
    finally:
        os.close(fd)


@contextmanager
def lock_instance(instance: str) -> Iterator[None]:
    """Hold a name in the kernel's table of abstract sockets, per user, while the block runs.

    Raises:
        StateError: another daemon of this user has it; the message says which.
    """
    if sys.platform != "linux":
        yield
        return
    name = f"\0reconciler.trainer.kubeflow.org/{os.geteuid()}/{instance}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        try:
            made.bind(name)
            made.listen(_BACKLOG)
        except OSError as error:
            made.close()
            if error.errno == errno.EADDRINUSE:
                process, user = find_listener(name, timeout=1.0) or (0, os.geteuid())
                if user == os.geteuid():
                    raise _instance_taken(instance, process) from error
        yield


def _instance_taken(instance: str, process: int) -> StateError:
    command = ""
    with suppress(OSError):
        words = Path(f"/proc/{process}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        command = b" ".join(words).decode(errors="replace")[:300]
    who = f'pid {process}, "{command}"' if process and command else "another process"
    return StateError(
        f"Another reconciler has the instance {instance} already ({who}), with another state "
        "folder: each would take the other's containers for its own.",
        remedy="Stop it first, or give this one a name of its own with --instance.",
    )
