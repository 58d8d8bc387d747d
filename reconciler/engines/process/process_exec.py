"""A person's command beside a container's processes: over pipes, or on a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence

_READ = 65536


class ProcessExecSession:
    """See :class:`~reconciler.engines.protocol.ExecSession`.

    Args:
        command: what is started; the supervisor's program, which becomes the command.
        environment: of that program.
        tty: give it a terminal.
        stdin: give it input.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, tty: bool, stdin: bool
    ) -> None:
        self._terminal: int | None = None
        if tty:
            self._terminal, inner = pty.openpty()
            self._process = subprocess.Popen(
                command,
                stdin=inner,
                stdout=inner,
                stderr=inner,
                env=dict(environment),
                cwd="/",
                start_new_session=True,
                # The terminal becomes the session's own: Ctrl-C reaches the command.
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  (no threads of its own)
            )
            os.close(inner)
        else:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                cwd="/",
                start_new_session=True,
            )

    def __iter__(self) -> Iterator[tuple[bool, bytes]]:
        if self._terminal is not None:
            yield from ((False, piece) for piece in _read_terminal(self._terminal, self._process))
            return
        assert self._process.stdout is not None  # noqa: S101  (pipes, see above)
        assert self._process.stderr is not None  # noqa: S101
        streams = {self._process.stdout.fileno(): False, self._process.stderr.fileno(): True}
        while streams:
            for descriptor in select.select(list(streams), [], [])[0]:
                if piece := os.read(descriptor, _READ):
                    yield streams[descriptor], piece
                else:
                    del streams[descriptor]

    def send(self, data: bytes) -> None:
        """Sends input; a command that has ended takes none."""
        with contextlib.suppress(OSError, ValueError):
            if self._terminal is not None:
                os.write(self._terminal, data)
            elif self._process.stdin is not None:
                self._process.stdin.write(data)
                self._process.stdin.flush()

    def close_input(self) -> None:
        """Ends the input; on a terminal that is what its user types, Ctrl-D."""
        with contextlib.suppress(OSError, ValueError):
            if self._terminal is not None:
                os.write(self._terminal, b"\x04")
            elif self._process.stdin is not None:
                self._process.stdin.close()

    def resize(self, columns: int, lines: int) -> None:
        """Sets the size of the command's terminal."""
        if self._terminal is not None:
            with contextlib.suppress(OSError):
                fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def exit_code(self) -> int:
        """Returns the command's exit status, once its output has ended."""
        code = self._process.wait()
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        """Ends the command, and what it has started, from any thread."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGHUP if self._terminal is not None else signal.SIGTERM)


def _read_terminal(terminal: int, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """What the command's terminal shows, until nobody has it open any more."""
    while True:
        try:
            ready = select.select([terminal], [], [], 0.2)[0]
            if not ready:
                if process.poll() is not None:
                    return
                continue
            piece = os.read(terminal, _READ)
        except OSError:  # Linux: the other side is closed
            return
        if not piece:
            return
        yield piece
