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
from reconciler.engines.http.polled_logs.log_sources import PolledLog
from reconciler.engines.http.polled_logs.polled_body import PolledBody
from reconciler.engines.http.response_streams import RawStream, iter_frames

#: Seconds before the newest line that are read again.
WINDOW: Final = 0.5
#: Lines remembered at most; more of them within the window make it shorter.
REMEMBERED: Final = 20_000
#: Length of a time: Docker gives nine digits of the second, always.
_TIME: Final = len("2026-11-23T10:00:00.000000000Z")
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
            recent.add([frame])
            first = first or recent.newest
            yield frame.partition(b" ")[2]
        if self._closed:
            return
        rest = self._open_rest(recent.since())
        if rest is None or not self._replace(rest):
            return
        missing = MissingLines(recent, first)
        for frame in iter_frames(rest):
            if missing.is_new(frame):
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
    """The lines of the last moments, in the batches that they came in."""

    def __init__(self) -> None:
        self.newest = b""
        #: Batches with the time of their newest line.
        self._batches: deque[tuple[bytes, list[bytes]]] = deque()
        self._size = 0
        self._dropped = False

    def add(self, lines: list[bytes]) -> None:
        """Remembers lines, and forgets those that cannot be read again: all before the last whole second."""
        time, passed = _time(max(lines)), self.newest[:_SECOND]
        if time[:_SECOND] > passed:
            while self._batches and self._batches[0][0][:_SECOND] < passed:
                self._size -= len(self._batches.popleft()[1])
        self.newest = max(self.newest, time)
        self._batches.append((time, lines))
        self._size += len(lines)
        while self._size > REMEMBERED and len(self._batches) > 1:
            self._size -= len(self._batches.popleft()[1])
            self._dropped = True

    @property
    def floor(self) -> bytes:
        """The time of the oldest line, where later ones were dropped: all before it was read already."""
        return _time(self._batches[0][1][0]) if self._dropped else b""

    def count(self) -> Counter[bytes]:
        """Returns how often each line is remembered."""
        return Counter(line for _, lines in self._batches for line in lines)

    def since(self) -> str:
        """Returns the time to read the rest from, as Docker's ``since``."""
        return _since(self.newest, WINDOW)


class MissingLines:
    """Tells which lines of the rest the follower has not read.

    Args:
        recent: the lines that it read last.
        first: the time of the first line that it read.
    """

    def __init__(self, recent: RecentLines, first: bytes) -> None:
        self._floor = recent.floor
        self._seen = recent.count()
        self._first = first

    def is_new(self, line: bytes) -> bool:
        """Whether the line was not read; each is asked about once, in order."""
        if self._seen and self._seen[line] > 0:
            self._seen[line] -= 1
            return False
        return _time(line) > self._floor and _time(line) >= self._first


class FollowedLog(PolledLog):
    """The same, read without waiting (a :class:`~reconciler.engines.protocol.LogSource`)."""

    exact = True

    def __init__(
        self, stream: RawStream, body: PolledBody, open_rest: Callable[[MissingLines, str], RestOfLog | None]
    ) -> None:
        super().__init__(stream, body)
        self._recent = RecentLines()
        self._open_rest = open_rest

    def _text(self, frames: list[bytes]) -> bytes:
        if frames:
            self._recent.add(frames)
        return b"".join([_without_time(frame) for frame in frames])

    def open_rest(self) -> RestOfLog | None:
        """Returns what was missed at the end."""
        # Empty: the beginning of the log is the first line's time.
        return self._open_rest(MissingLines(self._recent, b""), self._recent.since())


class RestOfLog(PolledLog):
    """The end of a log, without the lines that were read before."""

    exact = True

    def __init__(self, stream: RawStream, body: PolledBody, missing: MissingLines) -> None:
        super().__init__(stream, body)
        self._missing = missing

    def _text(self, frames: list[bytes]) -> bytes:
        return b"".join([_without_time(frame) for frame in frames if self._missing.is_new(frame)])


def _without_time(frame: bytes) -> bytes:
    return frame[_TIME + 1 :] if frame[_TIME : _TIME + 1] == b" " else frame.partition(b" ")[2]


def _time(frame: bytes) -> bytes:
    """Returns when the line was printed; of a fixed form, so that times compare as they are."""
    return frame.partition(b" ")[0]


def _since(time: bytes, window: float) -> str:
    """Returns Docker's ``since`` for some seconds before a line's time; "0", the beginning, for none."""
    seconds = parse_time(time.decode(errors="replace"))
    return "0" if seconds is None else f"{max(seconds - window, 0.0):.9f}"
