"""A container's output read from Podman's own log file, where this process can see it.

Podman's ``logs?follow`` drops lines when a container ends while the reader is behind (measured on 4.3: of a
last burst of 200000 lines more than half were missing), and it flushes line by line, which costs 100 times as
much as reading the file. So a local engine's file is read directly; another host's output goes through the
API, with that flaw.

The file is the kubelet's CRI format, which conmon writes: ``TIME stdout|stderr F|P TEXT``, P for a piece of a
line that goes on. conmon ends only when everything is written.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from reconciler.engines.host.file_growth import Growth
from reconciler.engines.http.container_facts import state_name

_READ: Final = 1 << 20
#: How often a quiet file is looked at, in seconds: soon after something came, then less; where the kernel
#: tells of changes, only to be sure.
_SOON: Final = 0.03
_SELDOM: Final = 0.25
_TO_BE_SURE: Final = 10.0
_EXIT_FOLDER: Final = b"--exit-dir"


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """Where the output is.

    Attributes:
        path: of the file.
        conmon: the process that writes it; 0 when it has ended.
        container: id, which is in that process's arguments.
    """

    path: Path
    conmon: int
    container: str

    def readable(self) -> bool:
        """Whether this process can see the file, and the process that writes it."""
        try:
            with self.path.open("rb"):
                return not self.conmon or bool(self._words())
        except OSError:
            return False

    def writing(self) -> bool:
        """Whether more may come: conmon writes down how the container ended when it has written all else."""
        words = self._words()
        if not words:
            return False
        folder = _folder(words)
        return folder is None or not (folder / self.container).exists()

    def exits(self) -> Path | None:
        """The folder into which conmon writes how its container ended; None when it does not say."""
        return _folder(self._words())

    def _words(self) -> list[bytes]:
        """Arguments of conmon; none when it has ended, or its number is another process's by now."""
        try:
            line = Path(f"/proc/{self.conmon}/cmdline").read_bytes() if self.conmon else b""
        except OSError:
            return []
        return line.split(b"\0") if self.container.encode() in line else []


def _folder(words: list[bytes]) -> Path | None:
    if _EXIT_FOLDER not in words[:-1]:
        return None
    return Path(os.fsdecode(words[words.index(_EXIT_FOLDER) + 1]))


def log_file(found: Mapping[str, Any]) -> LogFile | None:
    """Where the output of an inspected container is, where this process can read it."""
    config = (found.get("HostConfig") or {}).get("LogConfig") or {}
    state = found.get("State") or {}
    running = state_name(str(state.get("Status") or "")) in {"running", "paused", "stopping"}
    file = LogFile(
        path=Path(config.get("Path") or "/nowhere"),
        conmon=int(state.get("ConmonPid") or 0) if running else 0,
        container=found["Id"],
    )
    readable = config.get("Type") == "k8s-file" and file.readable() and (file.conmon or not running)
    return file if readable else None


class FileLogs:
    """The output of a container whose file can be read (see :class:`~reconciler.engines.protocol.LogStream`)."""

    def __init__(self, file: LogFile, *, follow: bool, tail: int | None) -> None:
        self._file = file
        self._follow = follow
        self._tail = tail
        self._closed = threading.Event()
        self._growth: Growth | None = None

    def close(self) -> None:
        """End the iteration, from any thread."""
        self._closed.set()
        self.look()

    def look(self) -> None:
        """Look now whether there is more, or the end; from any thread."""
        if (growth := self._growth) is not None:
            growth.wake()

    def __iter__(self) -> Iterator[bytes]:
        file: BinaryIO = self._file.path.open("rb")
        growth = self._growth = Growth(self._file.path) if self._follow else None
        try:
            if self._tail is not None:
                yield from _last(file, self._tail)
            rest = b""
            pause = _SOON
            while not self._closed.is_set():
                if growth is not None:
                    growth.expect()
                    if self._closed.is_set():
                        return
                # Asked before reading: what was written before the end is read after it.
                more = self._follow and self._file.writing()
                data = file.read(_READ)
                if data:
                    pause = _SOON
                    text, rest = decode(rest + data)
                    if text:
                        yield text
                elif (successor := self._successor(file)) is not None:
                    # What was written between the last read and the change.
                    yield decode(rest + file.read())[0]
                    file.close()
                    file, rest = successor, b""
                    if growth is not None:
                        growth.close()
                        growth = self._growth = Growth(self._file.path)
                elif growth is None or not more:
                    return
                elif growth.wait(pause):
                    pause = _SOON
                else:
                    pause = min(pause * 1.5, _TO_BE_SURE if growth.told else _SELDOM)
        finally:
            file.close()
            if growth is not None:
                growth.close()

    def _successor(self, file: BinaryIO) -> BinaryIO | None:
        """The file that took this one's place: conmon begins anew at containers.conf's `log_size_max`."""
        try:
            if self._file.path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return None
            return self._file.path.open("rb")
        except OSError:
            return None  # the container was removed


def decode(data: bytes) -> tuple[bytes, bytes]:
    """The output in whole lines of the file, and the beginning of a line that is not whole yet."""
    *lines, rest = data.split(b"\n")
    return b"".join(map(_text, lines)), rest


def _text(line: bytes) -> bytes:
    parts = line.split(b" ", 3)
    if len(parts) < 4:
        return b""
    return parts[3] if parts[2].startswith(b"P") else parts[3] + b"\n"


def _last(file: BinaryIO, count: int) -> Iterator[bytes]:
    """The last lines of what is there; a line in pieces counts as one."""
    lines: deque[bytes] = deque(maxlen=max(count, 0))
    pieces = b""
    position = 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        position += len(line)
        pieces += _text(line[:-1])
        if pieces.endswith(b"\n"):
            lines.append(pieces)
            pieces = b""
    if pieces:
        lines.append(pieces)
    file.seek(position)
    yield b"".join(lines)
