"""Events between processes: every follower has a named pipe in one folder, every change is a line in each.

No server, no polling, no limit on path lengths (as sockets have). What can go wrong: a follower that does
not read fills its pipe, and lines for it are dropped. It will look at everything anyway once it reads.
"""

from __future__ import annotations

import errno
import json
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def announce(folder: str, *, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
    """Tell every follower; followers that died are forgotten."""
    line = _line(kind, action, name, labels)
    try:
        followers = os.listdir(folder)
    except FileNotFoundError:
        return
    for follower in followers:
        if not follower.startswith("."):
            _tell(f"{folder}/{follower}", line)


def _line(kind: str, action: str, name: str, labels: Mapping[str, str]) -> bytes:
    """One line, short enough to be written undivided; labels that do not fit are left for the reader."""
    facts = {"kind": kind, "action": action, "name": name}
    whole = json.dumps({**facts, "labels": dict(labels)}).encode() + b"\n"
    return whole if len(whole) <= select.PIPE_BUF else json.dumps(facts).encode() + b"\n"


def _tell(path: str, line: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nobody reads: its process died without removing the pipe
            _forget(path)
        return
    try:
        os.write(fd, line)
    except (BlockingIOError, BrokenPipeError):
        pass  # it has unread lines, or has just gone
    finally:
        os.close(fd)


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
