"""Events of containers and networks as a stream that another thread may close; reads an event pipe."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from reconciler.engines.protocol import EngineEvent

_CHUNK: Final = 64 * 1024


class EventSubscription:
    """Events from now on, through a named pipe of its own.

    Args:
        folder: of all subscribers' pipes.
        key: unique name of this subscriber.
        find_labels: returns a container's labels by name, for events too long to carry them.
    """

    def __init__(self, folder: Path, *, key: str, find_labels: Callable[[str], Mapping[str, str]]) -> None:
        self._path = folder / key
        self._find_labels = find_labels
        hidden = folder / f".{key}"
        os.mkfifo(hidden, 0o600)
        # For reading and writing, so that it does not end when the last writer closes it.
        self._fd = os.open(hidden, os.O_RDWR | os.O_NONBLOCK)
        hidden.rename(self._path)  # only now: publishers remove pipes without a reader
        self._wake_read, self._wake_write = os.pipe()
        self._lock = threading.Lock()
        self._open = True
        self._iterating = False

    def __iter__(self) -> Iterator[EngineEvent]:
        with self._lock:
            if not self._open:
                return
            self._iterating = True
        try:
            yield from self._read_events()
        finally:
            with self._lock:
                self._iterating = False
                self._open = False
                self._release()

    def _read_events(self) -> Iterator[EngineEvent]:
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._fd, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._wake_read in ready:
                    return
                with contextlib.suppress(BlockingIOError):
                    *lines, rest = (rest + os.read(self._fd, _CHUNK)).split(b"\n")
                    for line in lines:
                        yield self._decode(json.loads(line))

    def _decode(self, facts: dict[str, Any]) -> EngineEvent:
        labels = facts.get("labels")
        return EngineEvent(
            kind=facts["kind"],
            action=facts["action"],
            name=facts["name"],
            labels=self._find_labels(facts["name"]) if labels is None else labels,
        )

    def _release(self) -> None:
        self._path.unlink(missing_ok=True)
        for fd in (self._fd, self._wake_read, self._wake_write):
            if fd >= 0:
                os.close(fd)
        self._fd = self._wake_read = self._wake_write = -1

    def close(self) -> None:
        """Ends the iteration, from any thread."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            if self._iterating:
                os.write(self._wake_write, b"x")
            else:
                self._release()
