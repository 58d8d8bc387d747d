"""A Unix socket before an engine's, which a test can cut: an engine that goes away, without harm to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path


class Proxy:
    """Forwards connections until cut; a cut one refuses new connections and breaks those there are.

    Args:
        path: of the socket to make; at most 107 bytes.
        target: ``unix://`` URL of the engine.
    """

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self.url = f"unix://{path}"
        self._target = target.removeprefix("unix://")
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._trigger = b""
        self._remaining = 0
        #: Told of everything that is passed on to the engine.
        self.on_data: Callable[[bytes], None] | None = None
        #: Set when the trigger has cut the proxy.
        self.was_cut = threading.Event()

    def mend(self) -> None:
        """Let connections through (again)."""
        listener = socket.socket(socket.AF_UNIX)
        self.path.unlink(missing_ok=True)
        listener.bind(str(self.path))
        listener.listen(64)
        with self._lock:
            self._trigger = b""
            self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def cut(self) -> None:
        """Break everything; the socket is gone as after the end of an engine."""
        with self._lock:
            listener, self._listener = self._listener, None
            connections, self._open = self._open, set()
        self.path.unlink(missing_ok=True)
        for one in (listener, *connections):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def cut_at(self, text: bytes, *, count: int = 1) -> None:
        """Cut right after the ``count``-th request that has ``text`` in it was passed on: no answer comes."""
        with self._lock:
            self._trigger, self._remaining = text, count

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, server}
            for source, sink, watched in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, watched), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, watched: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                if watched and self.on_data is not None:
                    self.on_data(data)
                if watched and self._triggered(data):
                    self.cut()
                    self.was_cut.set()
                    return
        # A half-closed stream keeps its other half: Docker's attach and build depend on it.
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _triggered(self, data: bytes) -> bool:
        with self._lock:
            if not self._trigger or self._trigger not in data:
                return False
            self._remaining -= 1
            return self._remaining <= 0


@contextlib.contextmanager
def proxy(path: Path, target: str) -> Iterator[Proxy]:
    """A proxy that lets through, for the length of a ``with`` block."""
    one = Proxy(path, target)
    one.mend()
    try:
        yield one
    finally:
        one.cut()
