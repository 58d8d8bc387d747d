"""A container's output followed on Docker to its very end.

Docker's ``logs?follow`` stops when the container does, even if the reader is behind (measured on 20.10: of a
last burst of 200000 lines most were missing; mended in Docker 23). So lines are asked for with their times,
and the last moments are read once more when the stream has ended.

Standard output and standard error are stamped apart and written as they come, so times do not always rise
(measured: a line may precede one that is a little older). What was read twice is therefore told by the lines
themselves, over a short window, not by the last time alone.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from reconciler.engines.http.container_facts import parse_time
from reconciler.engines.http.streams import RawStream, frames

#: Seconds before the newest line that are read again.
WINDOW: Final = 0.5
#: Lines remembered at most; more of them within the window make it shorter.
REMEMBERED: Final = 20_000
#: As much of a time as tells its second, which is more than the window.
_SECOND: Final = len("2026-11-23T10:00:00")


class FollowedLogs:
    """Output with the times cut off again (see :class:`~reconciler.engines.protocol.LogStream`).

    Args:
        stream: followed, with times.
        rest: opens what came since a time (``seconds.nanoseconds``); None when the container is gone.
    """

    def __init__(self, stream: RawStream, rest: Callable[[str], RawStream | None]) -> None:
        self._stream = stream
        self._rest = rest
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """End the iteration, from any thread."""
        with self._lock:
            self._closed = True
            stream = self._stream
        stream.close()

    def __iter__(self) -> Iterator[bytes]:
        recent = _Recent()
        first = b""
        for frame in frames(self._stream):
            recent.add(frame)
            first = first or recent.newest
            yield frame.partition(b" ")[2]
        if self._closed:
            return
        rest = self._rest(_since(recent.newest, WINDOW))
        if rest is None or not self._replace(rest):
            return
        floor, seen = recent.floor, recent.counted()
        for frame in frames(rest):
            line = _told_apart(frame)
            if seen[line] > 0:
                seen[line] -= 1
            elif _time(frame) > floor and _time(frame) >= first:
                yield frame.partition(b" ")[2]

    def _replace(self, stream: RawStream) -> bool:
        with self._lock:
            self._stream = stream
            closed = self._closed
        if closed:
            stream.close()
        return not closed


class _Recent:
    """The lines of the last moments: their times and digests, for a line may have 16 KiB."""

    def __init__(self) -> None:
        self.newest = b""
        self._lines: deque[tuple[bytes, int]] = deque(maxlen=REMEMBERED)

    def add(self, frame: bytes) -> None:
        """Remember a line, and forget what can't be read again: all before the second that has passed."""
        time, passed = _time(frame), self.newest[:_SECOND]
        if time[:_SECOND] > passed:
            while self._lines and self._lines[0][0][:_SECOND] < passed:
                self._lines.popleft()
        self.newest = max(self.newest, time)
        self._lines.append(_told_apart(frame))

    @property
    def floor(self) -> bytes:
        """Before the oldest line that is remembered nothing can be told apart: all of it was read."""
        return self._lines[0][0] if len(self._lines) == REMEMBERED else b""

    def counted(self) -> Counter[tuple[bytes, int]]:
        """How often each is remembered."""
        return Counter(self._lines)


def _told_apart(frame: bytes) -> tuple[bytes, int]:
    return _time(frame), hash(frame)


def _time(frame: bytes) -> bytes:
    """When the line was printed; of a fixed form, so that times compare as they are."""
    return frame.partition(b" ")[0]


def _since(time: bytes, window: float) -> str:
    """Docker's ``since`` for some seconds before a line's time; "0", the beginning, for none."""
    seconds = parse_time(time.decode(errors="replace"))
    return "0" if seconds is None else f"{max(seconds - window, 0.0):.9f}"
