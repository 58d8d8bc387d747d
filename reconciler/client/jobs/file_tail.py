"""Reads log files that grow: the last lines, and what is appended after them.

The daemon appends to one file per container and attempt. A reader may meet a file that does not exist yet,
ends in the middle of a line, or (after a daemon's restart) is written again; it never holds more than a chunk
of it in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconciler.common.regular_files import open_regular_stream

CHUNK_SIZE: Final = 256 * 1024


def tail_offset(path: Path, lines: int) -> int:
    """Returns the offset at which the last ``lines`` lines of a file begin; an unfinished last line counts.

    Raises:
        OSError: the file cannot be read.
    """
    with open_regular_stream(path) as file:
        position = end = file.seek(0, os.SEEK_END)
        wanted = lines
        if lines <= 0:
            return end
        while position > 0:
            size = min(CHUNK_SIZE, position)
            position -= size
            file.seek(position)
            chunk = file.read(size)
            at = len(chunk)
            if position + size == end and chunk.endswith(b"\n"):
                at -= 1  # the end of the last line begins no other
            while (at := chunk.rfind(b"\n", 0, at)) >= 0:
                wanted -= 1
                if wanted == 0:
                    return position + at + 1
    return 0


@dataclass
class FileTail:
    """Reads a file from an offset on, repeatedly.

    Attributes:
        path: need not exist yet.
        offset: of the next byte.
        unfinished: a line without an end, kept back by :meth:`read_lines`.
    """

    path: Path
    offset: int = 0
    unfinished: bytes = field(default=b"", repr=False)

    def seek_to_tail(self, lines: int | None) -> None:
        """Begins with the last ``lines`` lines; None begins at the beginning."""
        if lines is not None and self.path.exists():
            self.offset = tail_offset(self.path, lines)

    def read_chunks(self) -> Iterator[bytes]:
        """Yields what was appended since the last call; nothing while the file does not exist."""
        try:
            with open_regular_stream(self.path) as file:
                if os.fstat(file.fileno()).st_size < self.offset:
                    self.offset = 0  # written again
                file.seek(self.offset)
                while chunk := file.read(CHUNK_SIZE):
                    self.offset += len(chunk)
                    yield chunk
        except FileNotFoundError:
            return

    def read_lines(self) -> Iterator[bytes]:
        """Yields whole lines that were appended since the last call, without their ends."""
        for chunk in self.read_chunks():
            *whole, self.unfinished = (self.unfinished + chunk).split(b"\n")
            yield from whole

    def read_unfinished_line(self) -> bytes:
        """Returns the line without an end, once nothing more will come; empty where there is none."""
        rest, self.unfinished = self.unfinished, b""
        return rest
