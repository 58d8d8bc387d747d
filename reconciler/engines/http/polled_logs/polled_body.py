"""The body of a streaming response read without waiting, so that one thread reads many.

``http.client`` waits for whole chunks, and buffers what a poll of the socket then no longer shows. So the
socket is taken from it once the headers have come, and chunks are decoded here.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Final

from reconciler.errors import EngineError

_READ: Final = 256 * 1024


class PolledBody:
    """A body of which nothing has been read yet.

    Args:
        body: its response, after the headers.
        connection: the socket that it comes through.
    """

    def __init__(self, body: http.client.HTTPResponse, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._chunked = bool(body.chunked)
        #: Bytes that are left: of the chunk, or of the body; None: until the connection ends.
        self._left: int | None = 0 if self._chunked else body.length
        self._finished = body.fp is None
        #: Bytes of the line break after a chunk that are still to come.
        self._skip = 0
        # What came along with the headers.
        self._buffer = bytearray(body.fp.read1(_READ) or b"") if body.fp is not None else bytearray()

    def fileno(self) -> int:
        """Returns the descriptor to poll."""
        return self._socket.fileno()

    def read(self) -> bytes | None:
        """Returns what there is now; None: nothing, and more may come; ``b""``: the end.

        Raises:
            EngineError: the connection broke, or the body breaks off.
        """
        while True:
            if data := self._decode():
                return data
            if self._finished:
                return b""
            try:
                received = self._socket.recv(_READ)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            except OSError as error:
                raise EngineError(f"The stream from the engine broke: {error}.") from error
            if not received:
                return self._end_of_connection()
            self._buffer += received

    def _end_of_connection(self) -> bytes:
        if self._chunked or self._left:
            raise EngineError("The stream from the engine broke off.")
        self._finished = True
        return b""

    def _decode(self) -> bytes:
        """Takes what the buffer has of the body."""
        if self._chunked:
            return self._decode_chunks()
        data = bytes(self._buffer if self._left is None else self._buffer[: self._left])
        self._buffer.clear()
        if self._left is not None:
            self._left -= len(data)
            self._finished = self._left == 0
        return data

    def _decode_chunks(self) -> bytes:
        buffer, length = self._buffer, len(self._buffer)
        pieces: list[bytearray] = []
        position, left = 0, self._left or 0
        while not self._finished:
            if left:
                piece = buffer[position : position + left]
                pieces.append(piece)
                position += len(piece)
                left -= len(piece)
                if left:
                    break
                self._skip = 2
            if self._skip:
                skipped = min(self._skip, length - position)
                position += skipped
                self._skip -= skipped
                if self._skip:
                    break
            end = buffer.find(b"\r\n", position)
            if end < 0:
                break
            left = _chunk_size(buffer[position:end])
            position = end + 2
            self._finished = left == 0
        del buffer[:position]
        self._left = left
        return b"".join(pieces)


def _chunk_size(line: bytearray) -> int:
    try:
        return int(bytes(line).partition(b";")[0], 16)
    except ValueError:
        raise EngineError(f"The stream from the engine is no HTTP: {bytes(line[:40])!r}.") from None
