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

from reconciler.engines.facts import parse_time
from reconciler.engines.streams import RawStream, frames

#: Seconds before the newest line that are read again.
WINDOW: Final = 0.5
#: Lines remembered at most; more of them within the window make it shorter.
REMEMBERED: Final = 20_000


class FollowedLogs:
    """Output with the times cut off again (see :class:`~reconciler.engines.base.LogStream`).

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
        recent: deque[bytes] = deque(maxlen=REMEMBERED)
        first = newest = b""
        for frame in frames(self._stream):
            recent.append(frame)
            newest = max(newest, _time(frame))
            first = first or newest
            yield frame.partition(b" ")[2]
        if self._closed:
            return
        # Before the oldest line that is remembered nothing can be told apart: all of it was read.
        floor = _time(recent[0]) if len(recent) == REMEMBERED else b""
        rest = self._rest(_since(newest, WINDOW))
        if rest is None or not self._replace(rest):
            return
        seen = Counter(recent)
        for frame in frames(rest):
            if seen[frame] > 0:
                seen[frame] -= 1
            elif _time(frame) > floor and _time(frame) >= first:
                yield frame.partition(b" ")[2]

    def _replace(self, stream: RawStream) -> bool:
        with self._lock:
            self._stream = stream
            closed = self._closed
        if closed:
            stream.close()
        return not closed


def _time(frame: bytes) -> bytes:
    """When the line was printed; of a fixed form, so that times compare as they are."""
    return frame.partition(b" ")[0]


def _since(time: bytes, window: float) -> str:
    """Docker's ``since`` for some seconds before a line's time; "0", the beginning, for none."""
    seconds = parse_time(time.decode(errors="replace"))
    return "0" if seconds is None else f"{max(seconds - window, 0.0):.9f}"
