"""Responses that go on: logs, events, the output of ``exec``; another thread may close them.

A thread that waits in ``recv`` is woken by shutting its socket down: closing the response alone leaves it
waiting. Both engines frame output alike (an 8-byte header before each piece, unless there is a tty).
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
from typing import Any, Final

from reconciler.engines.http.client_pool import Closable
from reconciler.engines.protocol import EngineEvent, LogStream
from reconciler.errors import EngineError

_READ = 65536
_HEADER = struct.Struct(">BxxxL")

log = logging.getLogger(__name__)


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
        self._released = False
        self.closed = False

    def read(self) -> bytes:
        """The next bytes, at least one; ``b""`` at the end or when closed.

        ``http.client``'s ``read1`` returns what has arrived, for chunked bodies and for those that end
        with the connection; urllib3 on top of it waits for full blocks of the latter.

        Raises:
            EngineError: the connection broke.
        """
        try:
            data = self._body.read1(_READ)
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            # ValueError, AttributeError: closed under our hands.
            if self.closed:
                return b""
            raise EngineError(f"The stream from the engine broke: {error}.") from error
        return data

    def close(self) -> None:
        """End the reading, from any thread."""
        self.closed = True
        with self._lock:
            if self._released:
                return
            self._released = True
        with contextlib.suppress(OSError, AttributeError, ValueError):
            _socket_of(self._body).shutdown(socket.SHUT_RDWR)
        # The body itself is left to the reader (finish): its buffer's lock may be held in read.
        self._release()

    def finish(self) -> None:
        """For the reader, when it reads no more: release the connection."""
        self.close()
        with contextlib.suppress(OSError, ValueError):
            self._response.close()


def _socket_of(body: http.client.HTTPResponse) -> socket.socket:
    return body.fp.raw._sock  # type: ignore[attr-defined,no-any-return]  # noqa: SLF001


def frames(stream: RawStream, *, tty: bool = False) -> Iterator[bytes]:
    """The pieces of a multiplexed body, stdout and stderr as they came; of a tty, the bytes as they are."""
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


def json_lines(stream: RawStream) -> Iterator[dict[str, Any]]:
    """The JSON objects of a body, one or several a line; a line that is none is skipped.

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
            log.debug("skipped a line of the engine that is no JSON: %.200r", line)
            continue
        if isinstance(value, dict):
            yield value


class Framed:
    """A multiplexed body as a stream of output."""

    def __init__(self, stream: RawStream, *, tty: bool) -> None:
        self._stream = stream
        self._tty = tty

    def __iter__(self) -> Iterator[bytes]:
        return frames(self._stream, tty=self._tty)

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._stream.close()


class _Closable:
    """What the streams given out share: they close what they read from, from any thread."""

    def __init__(self) -> None:
        self._stream: Closable | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def _attach(self, stream: Closable) -> None:
        with self._lock:
            self._stream = stream
            closed = self._closed.is_set()
        if closed:
            stream.close()

    def close(self) -> None:
        """End the iteration, from any thread."""
        with self._lock:
            self._closed.set()
            stream = self._stream
        if stream is not None:
            stream.close()


class Events(_Closable):
    """Events off a stream of JSON lines; ``read`` turns an object into an event, or None to skip it."""

    def __init__(self, stream: RawStream, read: Callable[[dict[str, Any]], EngineEvent | None]) -> None:
        super().__init__()
        self._read = read
        self._source = stream
        self._attach(stream)

    def __iter__(self) -> Iterator[EngineEvent]:
        for item in json_lines(self._source):
            event = self._read(item)
            if event is not None:
                yield event


class Logs(_Closable):
    """A container's output; when it has not started yet, ``started`` is awaited first.

    Args:
        started: returns once the container runs or has ended (or the event, set by ``close``, says stop).
        open_source: opens what the output is read from.
    """

    def __init__(
        self,
        *,
        started: Callable[[threading.Event], None],
        open_source: Callable[[], LogStream],
    ) -> None:
        super().__init__()
        self._started = started
        self._open = open_source

    def __iter__(self) -> Iterator[bytes]:
        self._started(self._closed)
        if self._closed.is_set():
            return
        source = self._open()
        self._attach(source)
        yield from source


#: Seconds until a container of whose start nobody has told is looked at, and between further looks.
FIRST_LOOK: Final = 0.5
NEXT_LOOKS: Final = 1.0


class StartSignals:
    """Tells whoever follows a created container that this process has started it.

    A hint that saves asking: a start by somebody else is found by asking once a second. It also knows what
    this process has made and not started yet, for the same reason.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, set[threading.Event]] = {}
        self._made: dict[str, str] = {}

    def made(self, identifier: str, name: str) -> None:
        """The container was created just now."""
        with self._lock:
            self._made[identifier] = name

    def made_here(self, identifier: str) -> str | None:
        """The name of a container that was made here and neither started nor removed since; else None."""
        with self._lock:
            return self._made.get(identifier)

    def forget(self, identifier: str) -> None:
        """The container is removed, or somebody else has to be asked about it."""
        with self._lock:
            self._made.pop(identifier, None)

    def notify(self, container: str) -> None:
        """The container of this name or id was started."""
        with self._lock:
            self._made.pop(container, None)
            for event in self._waiting.get(container, ()):
                event.set()

    def wait(self, keys: tuple[str, str], is_created: Callable[[], bool], closed: threading.Event) -> None:
        """Return when the container (``keys``: its id, its name) is no longer merely created, or closed.

        It was a moment ago: who is told of the start need not ask, and asking in the middle of a start holds
        it up.
        """
        pause = FIRST_LOOK
        woken = threading.Event()
        made = self.made_here(keys[0]) is not None
        with self._lock:
            for key in keys:
                self._waiting.setdefault(key, set()).add(woken)
        if made and self.made_here(keys[0]) is None:
            woken.set()  # in between
        try:
            while not closed.is_set() and not woken.wait(pause) and is_created():
                pause = NEXT_LOOKS
        finally:
            with self._lock:
                for key in keys:
                    self._waiting[key].discard(woken)
                    if not self._waiting[key]:
                        del self._waiting[key]
