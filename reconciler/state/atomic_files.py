"""Writes files atomically: a file is whole, or it is not there.

A crash, a full disk or a reader at the wrong moment must never leave or see half a record or half a
sidecar: the new text goes to a temporary file in the same folder, is flushed to disk, and takes the
old one's name in one step. What can go wrong: the temporary file of a killed process stays behind
(hidden, so that no scan of manifests reads it); some file systems (FUSE, a few network ones) cannot sync
a folder, which is then skipped: the rename itself was still atomic. The temporary name is short, and looked
up in the open folder: whatever name and path the file may have on this system, it can be written this way.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from reconciler.common.os_errors import OUT_OF_DESCRIPTORS, reason_of
from reconciler.common.regular_files import LARGE_FILE, UnfitFileError, describe_unfit, read_regular_file
from reconciler.errors import StateError

#: Start of the name of every temporary file: hidden, so that no scan of manifests reads it.
TEMPORARY_PREFIX: Final = ".reconciler-"
TEMPORARY_SUFFIX: Final = ".tmp"

_OTHER_FOLDERS: Final = "or point --status-dir, --log-dir or $XDG_STATE_HOME elsewhere"
_REMEDIES: Final = {
    errno.ENOSPC: f"Free space on that file system, {_OTHER_FOLDERS}.",
    errno.EDQUOT: f"The disk quota is used up: free space, {_OTHER_FOLDERS}.",
    errno.EROFS: f"The file system is read-only: {_OTHER_FOLDERS.removeprefix('or ')}.",
    errno.EACCES: f"Give this user permission to do it, {_OTHER_FOLDERS}.",
    errno.EPERM: f"Give this user permission to do it, {_OTHER_FOLDERS}.",
    errno.ENAMETOOLONG: "Shorten the names of the file and of the folders it is in.",
    errno.EMFILE: OUT_OF_DESCRIPTORS,
    errno.ENFILE: OUT_OF_DESCRIPTORS,
}
#: Opens a folder only to name files in it; where the system has no such thing, to read it.
_FOLDER_FLAGS: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_UNFIT_REMEDY: Final = "Move it away: it is left as it is until then."
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
    """Replace the file's content by ``data``, or leave it as it was.

    The folder is made if missing. A symlink at ``path`` is replaced, not followed.

    Args:
        path: of the file.
        data: its whole content.
        mode: permission bits of the new file, whatever the umask.
        durable: wait until it is on the disk, not only in the system's cache.
        owner: user and group of the new file, where this process may give them; None: this process's own.
        new: fail where there is a file already (StateError caused by FileExistsError).

    Raises:
        StateError: it could not be written (no space, no permission, ...), or what has the name is no file
            (a named pipe, a device) and so not ours to replace; the temporary file is gone.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_replaceable(path)
        folder = os.open(path.parent, _FOLDER_FLAGS)
        try:
            _replace(folder, path, data, mode, durable=durable, owner=owner, new=new)
        finally:
            os.close(folder)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        raise state_error("write", path, error) from error


def read_if_exists(path: Path, *, limit: int = LARGE_FILE, follow_links: bool = True) -> bytes | None:
    """The file's content, or None where there is no such file.

    Args:
        path: of the file.
        limit: bytes; a larger file is an error.
        follow_links: whether the path itself may be a link.

    Raises:
        StateError: it is there and cannot be read, is no regular file, or larger than ``limit``.
    """
    try:
        return read_regular_file(path, limit=limit, follow_links=follow_links)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise state_error("read", path, error) from error


def remove_if_exists(path: Path) -> None:
    """Remove the file, or a link in its place; one that is not there is no error.

    Raises:
        StateError: it is there and cannot be removed, or is something else than a file.
    """
    try:
        _require_replaceable(path)
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        return
    except OSError as error:
        raise state_error("remove", path, error) from error


def state_error(verb: str, path: Path, error: OSError) -> StateError:
    """The error for a file that the system refuses, with what to do about it."""
    reason = reason_of(error)
    remedy = _UNFIT_REMEDY if isinstance(error, UnfitFileError) else _REMEDIES.get(error.errno or 0, "")
    return StateError(f"Cannot {verb} {path}: {reason}.", remedy=remedy)


def _require_replaceable(path: Path) -> None:
    """Raise OSError where the name is taken by what nobody has written as a file, and may be in use."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISLNK(mode) and (words := describe_unfit(mode)):
        raise UnfitFileError(errno.EEXIST, words, str(path))


def _replace(
    folder: int,
    path: Path,
    data: bytes,
    mode: int,
    *,
    durable: bool,
    owner: tuple[int, int] | None,
    new: bool,
) -> None:
    """Write a temporary file in the open folder, and give it the file's name."""
    temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        _write_new(folder, temporary, data, mode, durable=durable, owner=owner)
        if new:
            _rename_if_free(folder, temporary, path.name)
        else:
            os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _write_new(
    folder: int, name: str, data: bytes, mode: int, *, durable: bool, owner: tuple[int, int] | None
) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
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


def _rename_if_free(folder: int, temporary: str, name: str) -> None:
    """Rename unless the name is taken: in one step, or in two where the file system has no hard links."""
    try:
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except FileExistsError:
        raise
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=folder)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        os.unlink(temporary, dir_fd=folder)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _SYNC_UNSUPPORTED:
            raise
    finally:
        os.close(fd)
