"""A command on a real terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.workspaces import PYTHON, Workspace

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\].*?(\x07|\x1b\\)|\x1b[()][A-Z0-9]")


@dataclass(frozen=True)
class Screen:
    """What was printed, without colours; and the exit status."""

    text: str
    status: int

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in re.split(r"[\r\n]+", self.text)]

    def row(self, begin: str) -> str:
        """The first line that begins so."""
        return next(line for line in self.lines if line.startswith(begin))


def on_terminal(
    workspace: Workspace,
    *arguments: str,
    columns: int = 80,
    typed: tuple[bytes, bytes] | None = None,
    timeout: float = 60,
) -> Screen:
    """Run ``reconciler ARGUMENTS`` on a terminal to its end; ``typed``: after which output, and what."""
    environment = {k: v for k, v in workspace.environment.items() if k not in {"COLUMNS", "LINES"}}
    command = [PYTHON, "-m", "reconciler", *arguments]
    return run_on_terminal(command, environment | {"TERM": "xterm-256color"}, workspace.root,
                           columns=columns, typed=typed, timeout=timeout)  # fmt: skip


def run_on_terminal(
    command: list[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    columns: int,
    typed: tuple[bytes, bytes] | None = None,
    timeout: float = 60,
) -> Screen:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        command, env=dict(environment), cwd=folder, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    )  # fmt: skip
    os.close(slave)
    output, deadline = b"", time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.1)[0]:
                if process.poll() is not None:
                    break
                continue
            try:
                piece = os.read(master, 65536)
            except OSError:  # Linux: nobody has the other side open any more
                break
            if not piece:
                break
            output += piece
            if typed is not None and typed[0] in output:
                os.write(master, typed[1])
                typed = None
        assert time.monotonic() < deadline, f"{command}: not in {timeout} s:\n{output[-3000:]!r}"
        status = process.wait(timeout=20)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(master)
    text = _SEQUENCE.sub("", output.decode(errors="replace"))
    assert "Traceback (most recent call last)" not in text, text[-3000:]
    return Screen(text, status)
