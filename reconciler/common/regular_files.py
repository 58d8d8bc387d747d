"""Reads files that others may have put there: regular files only, without ever waiting, up to a size.

In the place of a file can be a named pipe (which waits for a writer), a device (which never ends, or does
something when it is opened), a link to either, a sparse file of many gigabytes, or a file of ``/proc`` whose
size is 0 and which goes on and on. Every module reads through this one, and a test holds that. Every error is
an :class:`OSError` whose ``strerror`` completes "... cannot be read: ".
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

#: Bytes of a small file: settings, a token, an index.
SMALL_FILE: Final = 1024 * 1024
#: Bytes of a larger one: records, statuses, manifests (their loader accepts less, and says so).
LARGE_FILE: Final = 32 * 1024 * 1024

_BLOCK: Final = 1024 * 1024
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS: Final = (
    (stat.S_ISFIFO, "it is a named pipe, not a file"),
    (stat.S_ISSOCK, "it is a socket, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
    (stat.S_ISDIR, "it is a folder, not a file"),
    (stat.S_ISLNK, "it is a link, not a file"),
)


class UnfitFileError(OSError):
    """What is there is no file that can be read as one: a pipe, a device, a folder, or far too large."""


def read_regular_file(path: str | Path, *, limit: int, follow_links: bool = True) -> bytes:
    """Returns the whole content of a regular file.

    Args:
        path: of the file.
        limit: bytes; a larger file is an error.
        follow_links: whether the path itself may be a link (folders above it always may).

    Raises:
        UnfitFileError: it is no regular file, or larger than ``limit``.
        OSError: it is not there, or cannot be read.
    """
    with open_regular_stream(path, follow_links=follow_links) as file:
        return read_stream(file, limit=limit)


def read_regular_text(path: str | Path, *, limit: int = SMALL_FILE) -> str:
    """Returns the whole text of a regular file in UTF-8, with universal line ends.

    Raises:
        UnfitFileError: it is no regular file, or larger than ``limit`` bytes.
        OSError: it is not there, or cannot be read.
        UnicodeDecodeError: it is no UTF-8.
    """
    text = read_regular_file(path, limit=limit).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def open_regular_stream(path: str | Path, *, follow_links: bool = True) -> BinaryIO:
    """Opens a regular file that is read in parts, however large; reading it never blocks.

    Raises:
        UnfitFileError: it is no regular file.
        OSError: it is not there, or cannot be opened.
    """
    name = os.fspath(path)
    # Looked at first: some devices do something when they are opened.
    _check_kind(os.stat(name, follow_symlinks=follow_links), name)  # noqa: PTH116  (text or a path)
    try:
        fd = os.open(name, _FLAGS if follow_links else _FLAGS | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow_links:
            raise UnfitFileError(errno.ELOOP, "it is a link, not a file", name) from None
        raise
    try:
        _check_kind(os.fstat(fd), name)
    except BaseException:
        os.close(fd)
        raise
    return open(fd, "rb")  # noqa: PTH123  (a descriptor; the caller closes it)


def read_stream(file: BinaryIO, *, limit: int) -> bytes:
    """Returns the whole content of what :func:`open_regular_stream` has opened.

    Raises:
        UnfitFileError: it is larger than ``limit`` bytes, or never ends.
        OSError: it cannot be read.
    """
    fd = file.fileno()
    size = os.fstat(fd).st_size
    blocks: list[bytes] = []
    total = 0
    # A size that is known to be too large is not worth a single read.
    while size <= limit and total <= limit:
        try:
            block = os.read(fd, min(_BLOCK, limit + 1 - total))
        except BlockingIOError:
            raise UnfitFileError(errno.EINVAL, "it has no end", str(file.name)) from None
        if not block:
            return b"".join(blocks)
        blocks.append(block)
        total += len(block)
    raise UnfitFileError(
        errno.EFBIG, f"it has {max(size, total):,} bytes, more than {limit:,}", str(file.name)
    )


def describe_unfit(mode: int) -> str:
    """Returns what stands in a file's place (``it is a named pipe, not a file``); "" for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((words for test, words in _KINDS if test(mode)), "it is not a regular file")


def _check_kind(facts: os.stat_result, name: str) -> None:
    if words := describe_unfit(facts.st_mode):
        raise UnfitFileError(errno.ELOOP if stat.S_ISLNK(facts.st_mode) else errno.EINVAL, words, name)
    if facts.st_size == 0 and facts.st_dev == _proc_device():
        raise UnfitFileError(errno.EINVAL, "it is made up by the kernel (/proc), not a file", name)


def _proc_device() -> int:
    try:
        return os.stat("/proc/version").st_dev  # noqa: PTH116
    except OSError:
        return -1
