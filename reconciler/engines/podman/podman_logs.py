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
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from reconciler.engines.host.file_log import FileLog
from reconciler.engines.http.container_json import parse_state

_READ: Final = 1 << 20
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


class LogFileStream(FileLog):
    """The output in a log file (a :class:`~reconciler.engines.protocol.LogStream` and a ``LogSource``)."""

    def __init__(self, file: LogFile, *, follow: bool, tail: int | None = None) -> None:
        super().__init__(file.path, follow=follow)
        self._log = file
        self._tail = tail
        self._file: BinaryIO | None = None
        self._rest = b""

    def _take(self) -> bytes:
        if self._file is None:
            self._file = self._log.path.open("rb")
            if self._tail is not None and (lines := _last_lines(self._file, self._tail)):
                return lines
        while True:
            while data := self._file.read(_READ):
                text, self._rest = decode(self._rest + data)
                if text:
                    return text
            if (successor := self._successor(self._file)) is None:
                return b""
            # What was written between the last read and the change.
            text, _ = decode(self._rest + self._file.read())
            self._file.close()
            self._file, self._rest = successor, b""
            self._watch_again()
            if text:
                return text

    def _may_grow(self) -> bool:
        return self._log.is_written()

    def _release(self) -> None:
        if self._file is not None:
            self._file.close()

    def _successor(self, file: BinaryIO) -> BinaryIO | None:
        """Opens the file that replaced this one: conmon begins again at containers.conf's `log_size_max`."""
        try:
            if self._log.path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                return None
            return self._log.path.open("rb")
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


def _last_lines(file: BinaryIO, count: int) -> bytes:
    """Returns the last lines of the file; a line in pieces counts as one."""
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
    return b"".join(lines)
