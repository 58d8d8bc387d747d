"""A container's output over the API, read without waiting (a ``LogSource`` of the Protocol)."""

from __future__ import annotations

import queue
import struct
import threading
from collections.abc import Callable
from typing import Final

from reconciler.engines.http.polled_logs.polled_body import PolledBody
from reconciler.engines.http.response_streams import LARGEST_FRAME, RawStream, iter_labelled_frames
from reconciler.errors import EngineError

#: The number of the stream and three bytes of nothing, as one word; and the size.
_HEADER: Final = struct.Struct(">LL")
#: Input, output and error output. Under 3 the engine says that it could not read the log to its end.
_OUTPUT: Final = frozenset({0, 1 << 24, 2 << 24})
_ENGINE_ERROR: Final = 3 << 24
#: A connection that says nothing is looked at after as many seconds.
_POLL_SECONDS: Final = 60.0
#: Pieces of output that a thread of :class:`PumpedLog` reads ahead.
_READ_AHEAD: Final = 64


class PolledLog:
    """Output that comes through a socket.

    Args:
        stream: as opened.
        body: of the stream.
        tty: the output is not in frames.
    """

    exact = False
    poll_seconds = _POLL_SECONDS

    def __init__(self, stream: RawStream, body: PolledBody, *, tty: bool = False) -> None:
        self._stream = stream
        self._body = body
        self._tty = tty
        self._buffer = bytearray()

    def read(self) -> bytes | None:
        """Returns what there is now; None: nothing, and more may come; ``b""``: the end.

        Raises:
            EngineError: the connection broke, what comes is no output, or the engine could not read it all.
        """
        while data := self._body.read():
            if self._tty:
                return data
            self._buffer += data
            if text := self._text(_whole_frames(self._buffer)):
                return text
        if self._buffer:
            _whole_frames(self._buffer)
        if self._buffer and data is not None:
            raise EngineError("The stream from the engine ended in the middle of a piece of output.")
        return data

    def _text(self, frames: list[bytes]) -> bytes:
        return b"".join(frames)

    def watch(self, changed: Callable[[], None]) -> int | None:  # noqa: ARG002  (the Protocol's)
        """Returns the socket's descriptor."""
        return self._body.fileno()

    def open_rest(self) -> PolledLog | None:
        """Returns nothing."""
        return None

    def close(self) -> None:
        """Ends the reading."""
        self._stream.finish()


def _whole_frames(buffer: bytearray) -> list[bytes]:
    """Takes the whole frames from the buffer; they may be a million.

    What comes before a frame that is none is given first, and that one by the next call.
    """
    frames: list[bytes] = []
    append, header, length, position = frames.append, _HEADER.unpack_from, len(buffer), 0
    data = bytes(buffer)
    while position + 8 <= length:
        number, size = header(data, position)
        end = position + 8 + size
        if number not in _OUTPUT or size > LARGEST_FRAME:
            if not frames:
                raise _no_output(data[position:end])
            break
        if end > length:
            break
        append(data[position + 8 : end])
        position = end
    del buffer[:position]
    return frames


def _no_output(frame: bytes) -> EngineError:
    header, text = frame[: _HEADER.size], frame[_HEADER.size :]
    if _HEADER.unpack(header)[0] == _ENGINE_ERROR:
        return _unreadable(text)
    return EngineError(f"The stream from the engine is not framed as output is: {header!r}.")


def _unreadable(text: bytes) -> EngineError:
    return EngineError(f"The engine could not read the output: {text.decode(errors='replace').strip()}")


class PumpedLog:
    """Output that no socket can be polled for (ssh, or opened only with its first line): a thread reads it.

    Args:
        open_stream: opens the output; called in the thread.
        tty: the output is not in frames.
    """

    exact = False
    poll_seconds = _POLL_SECONDS

    def __init__(self, open_stream: Callable[[], RawStream], *, tty: bool = False) -> None:
        self._open_stream = open_stream
        self._tty = tty
        self._pieces: queue.Queue[bytes | EngineError] = queue.Queue(_READ_AHEAD)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._stream: RawStream | None = None
        self._changed: Callable[[], None] = _nothing
        self._ended = False

    def watch(self, changed: Callable[[], None]) -> int | None:
        """Starts the thread."""
        self._changed = changed
        threading.Thread(target=self._run, name="log-pump", daemon=True).start()
        return None

    def read(self) -> bytes | None:
        """Returns what there is now; None: nothing, and more may come; ``b""``: the end."""
        if self._ended:
            return b""
        try:
            piece = self._pieces.get_nowait()
        except queue.Empty:
            return None
        if isinstance(piece, EngineError):
            raise piece
        self._ended = not piece
        return piece

    def open_rest(self) -> PumpedLog | None:
        """Returns nothing."""
        return None

    def close(self) -> None:
        """Ends the reading, and the thread."""
        self._closed.set()
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()
        while not self._pieces.empty():
            # The thread may wait for a place.
            self._pieces.get_nowait()

    def _run(self) -> None:
        try:
            stream = self._open_stream()
            with self._lock:
                self._stream = stream
            if self._closed.is_set():
                stream.close()
            for number, piece in iter_labelled_frames(stream, tty=self._tty):
                if number << 24 == _ENGINE_ERROR:
                    raise _unreadable(piece)
                self._put(piece)
        except EngineError as error:
            self._put(error)
        else:
            self._put(b"")

    def _put(self, piece: bytes | EngineError) -> None:
        while not self._closed.is_set():
            try:
                self._pieces.put(piece, timeout=1.0)
            except queue.Full:
                continue
            self._changed()
            return


def _nothing() -> None:
    """Stands for a reader that has not come yet."""
