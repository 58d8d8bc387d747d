"""Files that are whole or not there at all, and the lock that keeps a folder to one daemon.

A crash, a full disk or a reader at the wrong moment must never leave or see half a record or half a
sidecar: the new text goes to a temporary file in the same folder, is flushed to disk, and takes the
old one's name in one step. What can go wrong: the temporary file of a killed process stays behind
(hidden, so that no scan of manifests reads it); some file systems (FUSE, a few network ones) cannot sync
a folder, which is then left out: the rename itself was still atomic.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
from pathlib import Path
from typing import Final, Self

from reconciler.errors import StateError

#: Start of the name of every temporary file: hidden, so that no scan of manifests reads it.
TEMPORARY_PREFIX: Final = ".reconciler-"
TEMPORARY_SUFFIX: Final = ".tmp"

_ELSEWHERE: Final = "or point --status-dir, --log-dir or $XDG_STATE_HOME elsewhere"
_REMEDIES: Final = {
    errno.ENOSPC: f"Free space on that file system, {_ELSEWHERE}.",
    errno.EDQUOT: f"The disk quota is used up: free space, {_ELSEWHERE}.",
    errno.EROFS: f"The file system is read-only: {_ELSEWHERE.removeprefix('or ')}.",
    errno.EACCES: f"Give this user permission to do it, {_ELSEWHERE}.",
    errno.EPERM: f"Give this user permission to do it, {_ELSEWHERE}.",
}
_SYNC_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.ENOSYS})


def write_atomically(
    path: Path,
    data: bytes,
    *,
    mode: int = 0o644,
    durable: bool = True,
    owner: tuple[int, int] | None = None,
    new: bool = False,
) -> None:
    """Make ``path`` hold exactly ``data``, or leave it as it was.

    The folder is made if missing. A symlink at ``path`` is replaced, not followed.

    Args:
        path: of the file.
        data: its whole content.
        mode: permission bits of the new file, whatever the umask.
        durable: have it on the disk, not only in the system's cache, before returning.
        owner: user and group of the new file, where this process may give them; None: this process's own.
        new: a file that is there already stays (StateError caused by FileExistsError).

    Raises:
        StateError: it could not be written (no space, no permission, ...); the temporary file is gone.
    """
    temporary = path.parent / f"{TEMPORARY_PREFIX}{path.name[:100]}-{secrets.token_hex(4)}{TEMPORARY_SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_new(temporary, data, mode, durable=durable, owner=owner)
        if new:
            _take_free_name(temporary, path)
        else:
            temporary.replace(path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _state_error("write", path, error) from error


#: Folders of the state that hold what nobody else may read; ``process`` has its own rules.
PRIVATE: Final = ("records", "secrets", "files", "locks", "held", "grants")


def keep_private(state_dir: Path) -> None:
    """Make the state folder, and close what is private in it to other users.

    One that is there keeps its own mode (it may be anybody's), a new one can be passed through by those who
    know the way: the process engine's containers may run as another user.

    Raises:
        StateError: it cannot be made.
    """
    try:
        if not state_dir.exists():
            state_dir.parent.mkdir(parents=True, exist_ok=True)
            state_dir.mkdir(mode=0o711, exist_ok=True)
        for folder in PRIVATE:
            (state_dir / folder).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise _state_error("make the state folder", state_dir, error) from error
    for path in (state_dir / folder for folder in PRIVATE):
        with contextlib.suppress(OSError):
            if not path.is_symlink():
                path.chmod(0o700)


def read_if_exists(path: Path) -> bytes | None:
    """The file's content, or None where there is no such file.

    Raises:
        StateError: it is there and cannot be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _state_error("read", path, error) from error


def remove_if_exists(path: Path) -> None:
    """Remove the file; one that is not there is no error.

    Raises:
        StateError: it is there and cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        return
    except OSError as error:
        raise _state_error("remove", path, error) from error


class FileLock:
    """An advisory lock on a file, held until closed or until the process ends, however it ends.

    The file says who holds it: pid, since when, and the command, a line each. It is never removed:
    removing it would let two processes lock two files of one name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, *, command: str, since: str) -> Self:
        """Take the lock, without waiting.

        Args:
            command: what this process is, told to whoever finds the lock taken.
            since: the time now, as text.

        Raises:
            StateError: another process holds it (the message says which), or the file cannot be opened.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _state_error("open the lock", self.path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                raise self._taken() from error
            raise _state_error("lock", self.path, error) from error
        self._fd = fd
        self._say_who(fd, command, since)
        return self

    def release(self) -> None:
        """Give the lock back; without effect when it is not held."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):
                os.ftruncate(fd, 0)
            os.close(fd)

    def holder(self) -> str:
        """Who holds it, as a phrase (``pid 12, "reconciler run", since ...``); "" when nobody has said."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        if len(lines) < 3:
            return ""
        return f'pid {lines[0]}, "{lines[2]}", since {lines[1]}'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _say_who(self, fd: int, command: str, since: str) -> None:
        text = f"{os.getpid()}\n{since}\n{command.replace(chr(10), ' ')}\n"
        # A full disk must not keep the daemon from running: the lock holds without its text.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, text.encode(), 0)

    def _taken(self) -> StateError:
        who = self.holder() or "another process"
        return StateError(
            f"Another reconciler works on this folder already ({who}; lock {self.path}).",
            remedy="Stop it first, or give this one another folder with --specs.",
        )


class FolderLock:
    """An advisory lock on a folder itself, so that daemons with different state folders meet as well.

    Held until released or until the process ends. A file system without such locks is taken as it is.
    """

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
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                return self
            raise StateError(
                f"Another daemon works on the folder {self._folder}, with another state folder.",
                remedy="Stop it, or give this one a folder of its own.",
            ) from error
        self._fd = fd
        return self

    def release(self) -> None:
        """Give the lock back; without effect when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _write_new(path: Path, data: bytes, mode: int, *, durable: bool, owner: tuple[int, int] | None) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123  (a descriptor, not a path)
        file.write(data)
        file.flush()
        if owner is not None and owner != (os.geteuid(), os.getegid()):
            # Only root may give files away; for others the file becomes their own.
            with contextlib.suppress(PermissionError):
                os.fchown(fd, *owner)
        os.fchmod(fd, mode)
        if durable:
            os.fsync(fd)


def _take_free_name(temporary: Path, path: Path) -> None:
    """Rename, but for a name that is taken, in one step; in two where the file system has no hard links."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)
    else:
        temporary.unlink()


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _SYNC_UNSUPPORTED:
            raise
    finally:
        os.close(fd)


def _state_error(verb: str, path: Path, error: OSError) -> StateError:
    reason = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, "")
    return StateError(f"Cannot {verb} {path}: {reason}.", remedy=remedy)
