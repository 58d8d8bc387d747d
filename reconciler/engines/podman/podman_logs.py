"""A container's output read from Podman's own log file, where this process can see it.

Podman's ``logs?follow`` drops lines when a container ends while the reader is behind (measured on 4.3: of a
last burst of 200000 lines more than half were missing), and it flushes line by line, which costs 100 times as
much as reading the file. So a local engine's file is read directly; another host's output goes through the
API, with that flaw.

The file is the kubelet's CRI format, which conmon writes: ``TIME stdout|stderr F|P TEXT``, P for a piece of a
line that goes on. conmon exits only when everything is written.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from reconciler.engines.host.file_watch import FileWatch
from reconciler.engines.http.container_json import parse_state

_READ: Final = 1 << 20
#: Seconds between polls of a quiet file: soon after the last output, then longer; where the kernel notifies
#: of changes, only as a safety net.
_SHORTEST_PAUSE: Final = 0.03
_LONGEST_PAUSE: Final = 0.25
_LONGEST_PAUSE_NOTIFIED: Final = 10.0
_EXIT_DIR_OPTION: Final = b"--exit-dir"


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """A container's log file.

    Attributes:
        path: of the file.
        conmon: pid of the process that writes it; 0 when it has exited.
        container: id, which is in that process's arguments.
    """

    path: Path
    conmon: int
    container: str

    def is_readable(self) -> bool:
        """Reports whether this process can see the file, and the process that writes it."""
        try:
            with self.path.open("rb"):
                return not self.conmon or bool(self._conmon_arguments())
        except OSError:
            return False

    def is_written(self) -> bool:
        """Reports whether more may come: conmon writes the exit status when it has written all else."""
        arguments = self._conmon_arguments()
        if not arguments:
            return False
        folder = _exit_dir(arguments)
        return folder is None or not (folder / self.container).exists()

    def exit_dir(self) -> Path | None:
        """Returns the folder into which conmon writes the exit status; None when it does not say."""
        return _exit_dir(self._conmon_arguments())

    def _conmon_arguments(self) -> list[bytes]:
        """Returns conmon's command line; empty when it has exited, or its pid is another process's by now."""
        try:
            line = Path(f"/proc/{self.conmon}/cmdline").read_bytes() if self.conmon else b""
        except OSError:
            return []
        return line.split(b"\0") if self.container.encode() in line else []


def _exit_dir(arguments: list[bytes]) -> Path | None:
    if _EXIT_DIR_OPTION not in arguments[:-1]:
        return None
    return Path(os.fsdecode(arguments[arguments.index(_EXIT_DIR_OPTION) + 1]))


def find_log_file(inspected: Mapping[str, Any]) -> LogFile | None:
    """Returns the log file of an inspected container, where this process can read it."""
    config = (inspected.get("HostConfig") or {}).get("LogConfig") or {}
    state = inspected.get("State") or {}
    running = parse_state(str(state.get("Status") or "")) in {"running", "paused", "stopping"}
    file = LogFile(
        path=Path(config.get("Path") or "/nowhere"),
        conmon=int(state.get("ConmonPid") or 0) if running else 0,
        container=inspected["Id"],
    )
    readable = config.get("Type") == "k8s-file" and file.is_readable() and (file.conmon or not running)
    return file if readable else None


class LogFileStream:
    """The output in a log file (a :class:`~reconciler.engines.protocol.LogStream`)."""

    def __init__(self, file: LogFile, *, follow: bool, tail: int | None) -> None:
        self._file = file
        self._follow = follow
        self._tail = tail
        self._closed = threading.Event()
        self._watch: FileWatch | None = None

    def close(self) -> None:
        """Ends the iteration, from any thread."""
        self._closed.set()
        self.wake()

    def wake(self) -> None:
        """Makes a waiting reader read now, from any thread."""
        if (watch := self._watch) is not None:
            watch.wake()

    def __iter__(self) -> Iterator[bytes]:
        file: BinaryIO = self._file.path.open("rb")
        watch = self._watch = FileWatch(self._file.path) if self._follow else None
        try:
            if self._tail is not None:
                yield from _last_lines(file, self._tail)
            rest = b""
            pause = _SHORTEST_PAUSE
            while not self._closed.is_set():
                if watch is not None:
                    watch.clear()
                    if self._closed.is_set():
                        return
                # Asked before reading: what was written before the exit is read after it.
                more = self._follow and self._file.is_written()
                data = file.read(_READ)
                if data:
                    pause = _SHORTEST_PAUSE
                    text, rest = decode(rest + data)
                    if text:
                        yield text
                elif (successor := self._successor(file)) is not None:
                    # What was written between the last read and the change.
                    yield decode(rest + file.read())[0]
                    file.close()
                    file, rest = successor, b""
                    if watch is not None:
                        watch.close()
                        watch = self._watch = FileWatch(self._file.path)
                elif watch is None or not more:
                    return
                elif watch.wait(pause):
                    pause = _SHORTEST_PAUSE
                else:
                    pause = min(pause * 1.5, _LONGEST_PAUSE_NOTIFIED if watch.is_notified else _LONGEST_PAUSE)
        finally:
            file.close()
            if watch is not None:
                watch.close()

    def _successor(self, file: BinaryIO) -> BinaryIO | None:
        """Opens the file that replaced this one: conmon begins again at containers.conf's `log_size_max`."""
        try:
            if self._file.path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return None
            return self._file.path.open("rb")
        except OSError:
            return None  # the container was removed


def decode(data: bytes) -> tuple[bytes, bytes]:
    """Returns the output in whole lines of the file, and the beginning of a line that is not whole yet."""
    *lines, rest = data.split(b"\n")
    return b"".join(map(_text, lines)), rest


def _text(line: bytes) -> bytes:
    parts = line.split(b" ", 3)
    if len(parts) < 4:
        return b""
    return parts[3] if parts[2].startswith(b"P") else parts[3] + b"\n"


def _last_lines(file: BinaryIO, count: int) -> Iterator[bytes]:
    """Yields the last lines of the file; a line in pieces counts as one."""
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
