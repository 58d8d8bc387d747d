"""Events between processes: every subscriber has a named pipe in one folder, every event is a line in each.

No server, no polling, no limit on path lengths (as sockets have). What can go wrong: a subscriber that does
not read fills its pipe, and lines for it are dropped; it relists anyway once it reads.
"""

from __future__ import annotations

import errno
import json
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def publish(folder: str, *, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
    """Sends an event to every subscriber; removes the pipes of those that died."""
    line = _encode(kind, action, name, labels)
    try:
        subscribers = os.listdir(folder)
    except FileNotFoundError:
        return
    for subscriber in subscribers:
        if not subscriber.startswith("."):
            _send(f"{folder}/{subscriber}", line)


def _encode(kind: str, action: str, name: str, labels: Mapping[str, str]) -> bytes:
    """One line, short enough to be written undivided; labels that do not fit are left for the reader."""
    facts = {"kind": kind, "action": action, "name": name}
    whole = json.dumps({**facts, "labels": dict(labels)}).encode() + b"\n"
    return whole if len(whole) <= select.PIPE_BUF else json.dumps(facts).encode() + b"\n"


def _send(path: str, line: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # no reader: its process died without removing the pipe
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
        return
    try:
        os.write(fd, line)
    except (BlockingIOError, BrokenPipeError):
        pass  # it has unread lines, or has just gone
    finally:
        os.close(fd)
