"""A service of this host that answers one connection after the other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def serving_tcp(serve: Callable[[socket.socket], None], address: str = "127.0.0.1") -> Iterator[int]:
    """Serve each connection with ``serve``, whose :class:`OSError` ends only that one; gives the port."""
    listener = socket.create_server((address, 0))
    thread = threading.Thread(target=_run, args=(listener, serve), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        # A thread in accept() is not woken by close() alone.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _run(listener: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with suppress(OSError), connection:
            serve(connection)
