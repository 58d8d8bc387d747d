"""A container's output followed on Docker to its very end.

Docker's ``logs?follow`` stops when the container does, even if the reader is behind (measured on 20.10: of a
last burst of 200000 lines most were missing; mended in Docker 23). So lines are asked for with their times,
and what came after the last one is read once more when the stream has ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from reconciler.engines.facts import parse_time
from reconciler.engines.streams import RawStream, frames


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
        last, same = b"", 0
        for frame in frames(self._stream):
            time, _, text = frame.partition(b" ")
            same = same + 1 if time == last else 1
            last = time
            yield text
        if self._closed:
            return
        rest = self._rest(_since(last))
        if rest is None or not self._replace(rest):
            return
        for frame in frames(rest):
            time, _, text = frame.partition(b" ")
            if time == last and same:
                same -= 1  # had already
            else:
                yield text

    def _replace(self, stream: RawStream) -> bool:
        with self._lock:
            self._stream = stream
            closed = self._closed
        if closed:
            stream.close()
        return not closed


def _since(time: bytes) -> str:
    """Docker's ``since`` for a line's time: to the nanosecond, which a float does not hold."""
    text = time.decode(errors="replace")
    seconds = parse_time(text)
    if seconds is None:
        return "0"
    fraction = text.partition(".")[2]
    return f"{int(seconds)}.{fraction.rstrip('Z')[:9].ljust(9, '0')}"
