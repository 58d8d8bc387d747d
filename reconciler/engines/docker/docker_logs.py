"""A container's output followed on Docker to its very end.

Docker's ``logs?follow`` stops when the container does, even if the reader is behind (measured on 20.10: of a
last burst of 200000 lines most were missing; mended in Docker 23). So lines are asked for with their times,
and the last moments are read once more when the stream has ended.

Standard output and standard error are stamped apart and written as they come, so times do not always rise
(measured: a line may precede one that is a little older). Lines read twice are therefore recognized by the
lines themselves, over a short window, not by the last time alone.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Final

from reconciler.engines.http.container_json import parse_time
from reconciler.engines.http.response_streams import RawStream, iter_frames

#: Seconds before the newest line that are read again.
WINDOW: Final = 0.5
#: Lines remembered at most; more of them within the window make it shorter.
REMEMBERED: Final = 20_000
#: Length of a time up to its second, which is longer than the window.
_SECOND: Final = len("2026-11-23T10:00:00")


class FollowedLogs:
    """Output with the times cut off again (a :class:`~reconciler.engines.protocol.LogStream`).

    Args:
        stream: followed, with times.
        open_rest: opens the output since a time (``seconds.nanoseconds``); None when the container is gone.
    """

    def __init__(self, stream: RawStream, open_rest: Callable[[str], RawStream | None]) -> None:
        self._stream = stream
        self._open_rest = open_rest
        self._lock = threading.Lock()
        self._closed = False

    def close(self) -> None:
        """Ends the iteration, from any thread."""
        with self._lock:
            self._closed = True
            stream = self._stream
        stream.close()

    def __iter__(self) -> Iterator[bytes]:
        recent = RecentLines()
        first = b""
        for frame in iter_frames(self._stream):
            recent.add(frame)
            first = first or recent.newest
            yield frame.partition(b" ")[2]
        if self._closed:
            return
        rest = self._open_rest(_since(recent.newest, WINDOW))
        if rest is None or not self._replace(rest):
            return
        floor, seen = recent.floor, recent.count()
        for frame in iter_frames(rest):
            key = _key(frame)
            if seen[key] > 0:
                seen[key] -= 1
            elif _time(frame) > floor and _time(frame) >= first:
                yield frame.partition(b" ")[2]

    def _replace(self, stream: RawStream) -> bool:
        """Makes ``close`` end this stream; returns False when the iteration was closed meanwhile."""
        with self._lock:
            self._stream = stream
            closed = self._closed
        if closed:
            stream.close()
        return not closed


class RecentLines:
    """The lines of the last moments: their times and hashes, because a line may have 16 KiB."""

    def __init__(self) -> None:
        self.newest = b""
        self._lines: deque[tuple[bytes, int]] = deque(maxlen=REMEMBERED)

    def add(self, frame: bytes) -> None:
        """Remembers a line, and forgets lines that cannot be read again: all before the last whole second."""
        time, passed = _time(frame), self.newest[:_SECOND]
        if time[:_SECOND] > passed:
            while self._lines and self._lines[0][0][:_SECOND] < passed:
                self._lines.popleft()
        self.newest = max(self.newest, time)
        self._lines.append(_key(frame))

    @property
    def floor(self) -> bytes:
        """The time of the oldest line, where older ones were dropped: all before it was read already."""
        return self._lines[0][0] if len(self._lines) == REMEMBERED else b""

    def count(self) -> Counter[tuple[bytes, int]]:
        """Returns how often each line is remembered."""
        return Counter(self._lines)


def _key(frame: bytes) -> tuple[bytes, int]:
    return _time(frame), hash(frame)


def _time(frame: bytes) -> bytes:
    """Returns when the line was printed; of a fixed form, so that times compare as they are."""
    return frame.partition(b" ")[0]


def _since(time: bytes, window: float) -> str:
    """Returns Docker's ``since`` for some seconds before a line's time; "0", the beginning, for none."""
    seconds = parse_time(time.decode(errors="replace"))
    return "0" if seconds is None else f"{max(seconds - window, 0.0):.9f}"
