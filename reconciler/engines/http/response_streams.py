"""Responses whose body goes on: logs, events, pull progress, the output of ``exec``.

Another thread may close them. A thread that waits in ``recv`` is woken by shutting its socket down: closing
the response alone leaves it waiting. Both engines frame output alike (an 8-byte header before each piece,
unless there is a tty).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from reconciler.engines.http.polled_logs.polled_body import PolledBody
from reconciler.errors import EngineError

_READ = 65536
_HEADER = struct.Struct(">BxxxL")

T = TypeVar("T")

_log = logging.getLogger(__name__)


class RawStream:
    """The body of a streaming response, read as it comes.

    Args:
        response: a ``requests.Response`` (or podman-py's proxy of one) asked for with ``stream=True``.
        release: called once at the end, to close the client the stream had to itself.
    """

    def __init__(self, response: Any, release: Callable[[], None]) -> None:
        self._response = response
        self._body: http.client.HTTPResponse = response.raw._fp  # noqa: SLF001  (see read)
        self._release = release
        self._lock = threading.Lock()
        self._closed = False

    def read(self) -> bytes:
        """Returns the next bytes, at least one; ``b""`` at the end or when closed.

        ``http.client``'s ``read1`` returns what has arrived, for chunked bodies and for those that end
        with the connection; urllib3 on top of it waits for full blocks of the latter.

        Raises:
            EngineError: the connection broke.
        """
        try:
            return self._body.read1(_READ)
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            # ValueError, AttributeError: another thread closed it meanwhile.
            if self._closed:
                return b""
            raise EngineError(f"The stream from the engine broke: {error}.") from error

    def polled(self) -> PolledBody | None:
        """Returns the body for reading without waiting, in place of :meth:`read`; None over ssh."""
        connection = getattr(getattr(self._body.fp, "raw", None), "_sock", None)
        if not isinstance(connection, socket.socket):
            return None
        return PolledBody(self._body, connection)

    def close(self) -> None:
        """Ends the reading, from any thread."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with contextlib.suppress(OSError, AttributeError, ValueError):
            self._body.fp.raw._sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]  # noqa: SLF001
        # The body itself is left to the reader (finish): its buffer's lock may be held in read.
        self._release()

    def finish(self) -> None:
        """Releases the connection; only for the reader, after its last read."""
        self.close()
        with contextlib.suppress(OSError, ValueError):
            self._response.close()


class ItemStream(Generic[T]):
    """The items of a body, as the Protocol's ``EventStream`` and ``LogStream``."""

    def __init__(self, stream: RawStream, iterate: Callable[[RawStream], Iterator[T]]) -> None:
        self._stream = stream
        self._iterate = iterate

    def __iter__(self) -> Iterator[T]:
        return self._iterate(self._stream)

    def close(self) -> None:
        """Ends the iteration, from any thread."""
        self._stream.close()


def iter_frames(stream: RawStream, *, tty: bool = False) -> Iterator[bytes]:
    """Yields the pieces of a multiplexed body, stdout and stderr as they came; of a tty, the raw bytes."""
    buffer = bytearray()
    try:
        while data := stream.read():
            if tty:
                yield data
                continue
            buffer += data
            yield from _whole_frames(buffer)
    finally:
        stream.finish()


def _whole_frames(buffer: bytearray) -> Iterator[bytes]:
    while len(buffer) >= _HEADER.size:
        _, size = _HEADER.unpack_from(buffer)
        end = _HEADER.size + size
        if len(buffer) < end:
            return
        piece = bytes(buffer[_HEADER.size : end])
        del buffer[:end]
        if piece:
            yield piece


def iter_json_lines(stream: RawStream) -> Iterator[dict[str, Any]]:
    """Yields the JSON objects of a body, one a line; a line that is no JSON object is skipped.

    Podman has sent lines cut in two; a bad one must not end the stream.
    """
    rest = b""
    try:
        while data := stream.read():
            *lines, rest = (rest + data).split(b"\n")
            yield from _objects(lines)
        yield from _objects([rest])
    finally:
        stream.finish()


def _objects(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError:
            _log.debug("engine response line skipped line=%.200r", line)
            continue
        if isinstance(value, dict):
            yield value
