"""Responses whose body goes on: logs, events, pull progress, the output of ``exec``.

Another thread may close them. A thread that waits in ``recv`` is woken by shutting its socket down: closing
the response alone leaves it waiting. Both engines frame output alike (an 8-byte header before each piece,
unless there is a tty).
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from reconciler.engines.http.polled_logs.polled_body import PolledBody
from reconciler.errors import EngineError

_READ = 65536
_HEADER = struct.Struct(">B3sL")
_PADDING = b"\0\0\0"
#: Input, output, error output, and the engine's own errors.
_LAST_STREAM = 3
#: Bytes of a piece of output: engines send it in lines or less.
LARGEST_FRAME = 64 << 20
LONGEST_LINE = 16 << 20
#: "101 Switching Protocols": the connection goes on as bytes in both directions.
_UPGRADED = 101

T = TypeVar("T")


class RawStream:
    """The body of a streaming response, read as it comes.

    Args:
        response: a ``requests.Response`` (or podman-py's proxy of one) asked for with ``stream=True``.
        release: called once at the end, to close the client the stream had to itself.
    """

    def __init__(self, response: Any, release: Callable[[], None]) -> None:
        self._response = response
        self._body: http.client.HTTPResponse = response.raw._fp  # noqa: SLF001  (see read)
        if response.status_code == _UPGRADED:
            # To http.client such a response has no body; here it is all that comes until the end.
            self._body.length = None
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

    @property
    def closed(self) -> bool:
        """Whether it was closed on this side."""
        return self._closed

    def send(self, data: bytes) -> None:
        """Sends bytes over an upgraded connection; one that the other side has ended takes none."""
        with contextlib.suppress(OSError, AttributeError):
            self._socket().sendall(data)

    def end_input(self) -> None:
        """Tells the other side of an upgraded connection that nothing more is sent."""
        with contextlib.suppress(OSError, AttributeError):
            self._socket().shutdown(socket.SHUT_WR)

    def _socket(self) -> socket.socket:
        return self._body.fp.raw._sock  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001

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
            self._socket().shutdown(socket.SHUT_RDWR)
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
    """Yields the pieces of a multiplexed body, stdout and stderr as they came; of a tty, the raw bytes.

    Raises:
        EngineError: the connection broke, or the body is no such one.
    """
    for _, piece in iter_labelled_frames(stream, tty=tty):
        yield piece


def iter_labelled_frames(stream: RawStream, *, tty: bool = False) -> Iterator[tuple[int, bytes]]:
    """Yields the same with the number of the stream: 1 standard output, 2 standard error.

    Raises:
        EngineError: the connection broke, or the body is no such one.
    """
    buffer = bytearray()
    try:
        while data := stream.read():
            if tty:
                yield 1, data
                continue
            buffer += data
            yield from _whole_frames(buffer)
        if buffer and not stream.closed:
            raise EngineError("The stream from the engine ended in the middle of a piece of output.")
    finally:
        stream.finish()


def _whole_frames(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    while len(buffer) >= _HEADER.size:
        number, padding, size = _HEADER.unpack_from(buffer)
        if number > _LAST_STREAM or padding != _PADDING or size > LARGEST_FRAME:
            raise EngineError(
                f"The stream from the engine is not framed as output is: {bytes(buffer[: _HEADER.size])!r}."
            )
        end = _HEADER.size + size
        if len(buffer) < end:
            return
        piece = bytes(buffer[_HEADER.size : end])
        del buffer[:end]
        if piece:
            yield number, piece


def iter_lines(stream: RawStream) -> Iterator[bytes]:
    """Yields the lines of a body that are not empty, the last one also without its end.

    Raises:
        EngineError: the connection broke, or a line is too long to be one.
    """
    rest = b""
    try:
        while data := stream.read():
            *lines, rest = (rest + data).split(b"\n")
            yield from (line for line in lines if line.strip())
            if len(rest) > LONGEST_LINE:
                raise EngineError("The stream from the engine has a line without an end.")
        if rest.strip() and not stream.closed:
            yield rest
    finally:
        stream.finish()
