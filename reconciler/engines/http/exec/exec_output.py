"""The output of a command run inside a container, within a time limit."""

from __future__ import annotations

import threading
from typing import Final

from reconciler.engines.http.response_streams import RawStream, iter_frames
from reconciler.errors import EngineError

#: A probe's output is for a message; more would only fill the status.
EXEC_OUTPUT_LIMIT: Final = 65536


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
