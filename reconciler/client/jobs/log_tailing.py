"""Reading log files that grow: the last lines, and what comes after them.

The daemon appends to one file per container and attempt. A reader may meet a file that is not there yet,
ends in the middle of a line, or (after a daemon's restart) is written anew; it never holds more than a
piece of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PIECE: Final = 256 * 1024


def tail_offset(path: Path, lines: int) -> int:
    """Where the last ``lines`` lines of a file begin; a last line without an end counts.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        position = end = file.seek(0, os.SEEK_END)
        wanted = lines
        if lines <= 0:
            return end
        while position > 0:
            size = min(PIECE, position)
            position -= size
            file.seek(position)
            piece = file.read(size)
            at = len(piece)
            if position + size == end and piece.endswith(b"\n"):
                at -= 1  # the end of the last line begins no other
            while (at := piece.rfind(b"\n", 0, at)) >= 0:
                wanted -= 1
                if wanted == 0:
                    return position + at + 1
    return 0


@dataclass
class GrowingFile:
    """A file read from an offset on, again and again.

    Attributes:
        path: need not exist yet.
        offset: of the next byte.
        rest: an unfinished line, kept back by :meth:`lines`.
    """

    path: Path
    offset: int = 0
    rest: bytes = field(default=b"", repr=False)

    def skip_to_tail(self, lines: int | None) -> None:
        """Begin with the last ``lines`` lines; None begins at the beginning."""
        if lines is not None and self.path.exists():
            self.offset = tail_offset(self.path, lines)

    def pieces(self) -> Iterator[bytes]:
        """What has come since the last time; nothing while the file is not there."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self.offset:
                    self.offset = 0  # written anew
                file.seek(self.offset)
                while piece := file.read(PIECE):
                    self.offset += len(piece)
                    yield piece
        except FileNotFoundError:
            return

    def lines(self) -> Iterator[bytes]:
        """Whole lines that have come since the last time, without their ends."""
        for piece in self.pieces():
            *whole, self.rest = (self.rest + piece).split(b"\n")
            yield from whole

    def last_line(self) -> bytes:
        """The unfinished line, once nothing more will come."""
        rest, self.rest = self.rest, b""
        return rest
