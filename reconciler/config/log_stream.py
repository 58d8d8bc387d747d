"""Writes the log to standard error without ever being held up by whoever should read it.

A pipe that nobody empties, or a terminal stopped with Ctrl-S, takes nothing more; a plain write would
then hold every thread that logs, and with them all jobs. So each write asks first whether there is room. A
reader that is only slow is waited for; one that takes nothing for :data:`PATIENCE` loses lines, and hears how
many as soon as there is room again.
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from typing import Final, TextIO

#: Seconds that a reader who takes nothing is waited for, once.
PATIENCE: Final = 2.0
#: Bytes for which a pipe that says it has room does have it (POSIX's ``PIPE_BUF``).
_PIECE: Final = 512


class LogStream:
    """Writes to ``sys.stderr`` as it is at the time (a live table replaces it)."""

    def __init__(self) -> None:
        self._stuck = False
        self._lost = 0
        #: The end of a line whose beginning was written before nothing went on.
        self._rest = b""

    def write(self, text: str) -> int:
        """Writes a line, or counts it as lost where nobody reads.

        Raises:
            OSError: the stream is broken.
        """
        stream = sys.stderr
        number = _plain_descriptor(stream)
        if number is None:
            return stream.write(text)
        data = text.encode(stream.encoding or "utf-8", errors="backslashreplace")
        if not self._put(number, self._rest):
            self._lost += 1
            return len(text)
        notice, self._lost = self._notice(), 0
        self._put(number, notice + data)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back but what a stuck reader does not take."""
        if _plain_descriptor(sys.stderr) is None:
            sys.stderr.flush()

    def _notice(self) -> bytes:
        return (
            f"[{self._lost} lines of the log are missing: nobody read it]\n".encode() if self._lost else b""
        )

    def _put(self, number: int, data: bytes) -> bool:
        """Writes what there is room for and keeps the rest; returns whether that is all of it."""
        self._rest = data
        while self._rest:
            if not _has_room(number, 0.0 if self._stuck else PATIENCE):
                self._stuck = True
                return False
            try:
                self._rest = self._rest[os.write(number, self._rest[:_PIECE]) :]
            except BlockingIOError:  # somebody has made it so, and another writer was quicker
                self._stuck = True
                return False
        self._stuck = False
        return True


def _plain_descriptor(stream: TextIO) -> int | None:
    """The number of the process's own standard error; None for anything put in its place."""
    if stream is not sys.__stderr__:
        return None
    with suppress(OSError, ValueError, AttributeError):
        return stream.fileno()
    return None


def _has_room(number: int, seconds: float) -> bool:
    """Whether a write would not wait; a broken stream has room, too: writing tells."""
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(seconds * 1000))
