"""HTTP messages as they pass a proxy: heads parsed, bodies passed on as they come.

Whoever passes a message on must know where it ends, so that the next one on the same connection is found; and must
not wait for more of it than has come, so that streams (logs, events, the progress of a pull) stay streams.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote

_READ = 65536


class Gone(Exception):  # noqa: N818  (what happened, not what went wrong)
    """One side has closed its connection, or the proxy was cut."""


class Wire:
    """One side of a connection.

    Args:
        watched: the other side: where that is closed while this one is waited for, waiting is over.
    """

    def __init__(self, sock: socket.socket, watched: socket.socket | None = None) -> None:
        self.sock = sock
        self._watched = watched
        self._buffer = bytearray()

    def _receive(self) -> bool:
        """Wait for something; False at the end."""
        if self._watched is not None:
            ready, _, _ = select.select([self.sock, self._watched], [], [])
            if self.sock not in ready and not self._watched.recv(1, socket.MSG_PEEK):
                raise Gone
        data = self.sock.recv(_READ)
        self._buffer += data
        return bool(data)

    def some(self, limit: int = _READ) -> bytes:
        """What has come, at least one byte; nothing at the end."""
        if not self._buffer and not self._receive():
            return b""
        taken = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        return taken

    def leftover(self) -> bytes:
        """What has been received and not been taken."""
        taken = bytes(self._buffer)
        self._buffer.clear()
        return taken

    def until(self, mark: bytes) -> bytes:
        """All up to and with the mark.

        Raises:
            Gone: the end comes first.
        """
        while (found := self._buffer.find(mark)) < 0:
            if not self._receive():
                raise Gone
        taken = bytes(self._buffer[: found + len(mark)])
        del self._buffer[: found + len(mark)]
        return taken

    def exactly(self, size: int) -> Iterator[bytes]:
        """So many bytes, in parts as they come.

        Raises:
            Gone: the end comes first.
        """
        while size > 0:
            part = self.some(min(size, _READ))
            if not part:
                raise Gone
            size -= len(part)
            yield part

    def body(self, head: Head) -> Iterator[bytes]:
        """The body after a head, in raw parts as they come."""
        if head.chunked:
            while True:
                line = self.until(b"\r\n")
                yield line
                size = int(line.split(b";")[0], 16)
                yield from self.exactly(size + 2)
                if size == 0:
                    return
        elif head.length is not None:
            yield from self.exactly(head.length)
        elif head.is_response:
            while part := self.some():
                yield part


@dataclass(frozen=True)
class Head:
    """First line and headers, as they came."""

    raw: bytes

    @property
    def first(self) -> list[str]:
        """The words of the first line."""
        return self.raw.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)

    @cached_property
    def headers(self) -> dict[str, str]:
        """By name in small letters."""
        lines = self.raw.decode("latin-1").split("\r\n")[1:]
        return {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}

    @property
    def is_response(self) -> bool:
        return self.raw.startswith(b"HTTP/")

    @property
    def status(self) -> int:
        return int(self.first[1])

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int | None:
        """Of the body, where the head says it."""
        if self.is_response and self.status in {204, 304}:
            return 0
        given = self.headers.get("content-length")
        return int(given) if given is not None else None

    @property
    def takes_over(self) -> bool:
        """Whether both sides speak freely from now on (``attach``, ``exec``)."""
        streams = self.headers.get("content-type", "") == "application/vnd.docker.raw-stream"
        return self.status == 101 or (streams and not self.chunked and self.length is None)


@dataclass(frozen=True)
class Request:
    """What a client has asked."""

    head: Head
    raw_body: bytes

    @property
    def method(self) -> str:
        return self.head.first[0]

    @property
    def target(self) -> str:
        """Path and query, without escapes."""
        return unquote(self.head.first[1])

    @property
    def text(self) -> str:
        """Target and body."""
        return self.target + "\n" + self.raw_body.decode(errors="replace")


def joined(raw: bytes, head: Head) -> bytes:
    """A whole body without the framing of its chunks."""
    if not head.chunked:
        return raw
    body, rest = b"", raw
    while rest:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body, rest = body + rest[:size], rest[size + 2 :]
    return body
