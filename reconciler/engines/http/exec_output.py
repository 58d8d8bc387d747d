"""The output of a command run inside a container, within a time limit."""

from __future__ import annotations

import threading
from typing import Final

from reconciler.engines.http.streams import RawStream, frames
from reconciler.errors import EngineError

#: A probe's output is for a message; more would only fill the status.
OUTPUT_LIMIT: Final = 65536


def collect(stream: RawStream, *, what: str, timeout: float) -> bytes:
    """Everything the command prints until it ends, cut at 64 KiB.

    Raises:
        EngineError: it took longer than ``timeout`` seconds (it goes on running: engines offer no way
            to end it), or the connection broke.
    """
    late = threading.Event()

    def give_up() -> None:
        late.set()
        stream.close()

    timer = threading.Timer(timeout, give_up)
    timer.daemon = True
    timer.start()
    output = bytearray()
    try:
        for piece in frames(stream):
            output += piece[: max(0, OUTPUT_LIMIT - len(output))]
    finally:
        timer.cancel()
    if late.is_set():
        raise EngineError(f"It took longer than {timeout:g} s to {what}.")
    return bytes(output)
