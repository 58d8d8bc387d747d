"""The output of a command run inside a container, within a time limit, and which commands outlived theirs."""

from __future__ import annotations

import threading
from typing import Final

from reconciler.engines.http.response_streams import RawStream, iter_frames
from reconciler.errors import EngineError

#: A probe's output is for a message; more would only fill the status.
EXEC_OUTPUT_LIMIT: Final = 65536


#: Commands that are remembered; those of containers that are gone are never asked for again.
_REMEMBERED: Final = 1000


class HangingCommands:
    """The commands that went on beyond their time: engines offer no way to end one.

    Run again and again (a probe) they would fill the container with processes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._execs: dict[tuple[str, tuple[str, ...]], str] = {}

    def find(self, container: str, command: tuple[str, ...]) -> str:
        """Returns the exec's id of the command's last run that went on; "" where none did."""
        with self._lock:
            return self._execs.get((container, command), "")

    def add(self, container: str, command: tuple[str, ...], identifier: str) -> None:
        """Remembers one, by its exec's id."""
        with self._lock:
            while len(self._execs) >= _REMEMBERED:
                del self._execs[next(iter(self._execs))]
            self._execs[container, command] = identifier

    def remove(self, container: str, command: tuple[str, ...]) -> None:
        """Forgets one that has ended."""
        with self._lock:
            self._execs.pop((container, command), None)


def read_exec_output(stream: RawStream, *, action: str, timeout: float) -> bytes:
    """Returns what the command prints until it ends, cut at :data:`EXEC_OUTPUT_LIMIT` bytes.

    Raises:
        EngineError: it took longer than ``timeout`` seconds (it goes on running: engines offer no way
            to end it), or the connection broke.
    """
    timed_out = threading.Event()

    def give_up() -> None:
        timed_out.set()
        stream.close()

    timer = threading.Timer(timeout, give_up)
    timer.daemon = True
    timer.start()
    output = bytearray()
    try:
        for piece in iter_frames(stream):
            output += piece[: max(0, EXEC_OUTPUT_LIMIT - len(output))]
    finally:
        timer.cancel()
    if timed_out.is_set():
        raise EngineError(f"It took longer than {timeout:g} s to {action}.")
    return bytes(output)
