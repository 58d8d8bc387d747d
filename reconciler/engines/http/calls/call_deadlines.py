"""Ends a call of an engine whose time is up, wherever it is: connecting, sending, in the head or in the body.

A client's own limit is for each wait for a byte, so an answer that comes a byte a second has none at all.
Here one thread watches all calls; when a call's time is up it shuts the sockets of the call's client down,
and the thread that waits there finds the connection broken. Each client is one thread's
(:mod:`reconciler.engines.http.client_pool`), with one call at a time, so nothing else is on those sockets.
What came late is never read: the client is thrown away.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any


class ConnectionWatch:
    """The sockets that a client has opened.

    Args:
        client: a ``requests.Session``, whichever transport it has.
    """

    def __init__(self, client: Any) -> None:
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._pools: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        for adapter in client.adapters.values():
            # The first is the name before requests 2.32.
            for name in ("get_connection", "get_connection_with_tls_context"):
                if find := getattr(adapter, name, None):
                    setattr(adapter, name, self._watching(find))

    def _watching(self, find: Any) -> Any:
        def find_and_watch(*args: Any, **kwargs: Any) -> Any:
            pool = find(*args, **kwargs)
            if pool not in self._pools:
                self._pools.add(pool)
                self._watch(pool)
            return pool

        return find_and_watch

    def _watch(self, pool: Any) -> None:
        make = pool._new_conn  # noqa: SLF001  (what urllib3 has for it; a connection in use is in no list)

        def make_and_watch() -> Any:
            connection = make()
            connect = connection.connect

            def connect_and_note() -> None:
                connect()
                with self._lock:
                    self._sockets.add(connection.sock)

            connection.connect = connect_and_note
            return connection

        pool._new_conn = make_and_watch  # noqa: SLF001

    def shut_down(self) -> None:
        """Breaks the connections, from any thread: whoever waits for them is woken."""
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            with contextlib.suppress(OSError, ValueError):
                sock.shutdown(socket.SHUT_RDWR)
                continue
            # A socket that is none (ssh's program): ended by closing it.
            with contextlib.suppress(OSError, ValueError):
                sock.close()


class Deadline:
    """The time until which one call may take."""

    def __init__(self, when: float, connections: ConnectionWatch) -> None:
        self.when = when
        #: Whether the time was up before the call ended.
        self.passed = False
        self._connections = connections

    def strike(self) -> None:
        """Ends the call."""
        self.passed = True
        self._connections.shut_down()


class _Watcher:
    """Strikes at the deadlines of all threads' calls, from a thread of its own."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._pending: dict[int, Deadline] = {}
        self._numbers = itertools.count()
        self._wakes_at = 0.0
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def until(self, deadline: Deadline) -> Iterator[None]:
        number = next(self._numbers)
        with self._changed:
            self._pending[number] = deadline
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="call-deadlines", daemon=True)
                self._thread.start()
            elif deadline.when < self._wakes_at:
                self._changed.notify()
        try:
            yield
        finally:
            # Under the lock: it strikes before this, or never.
            with self._changed:
                self._pending.pop(number, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for number, deadline in list(self._pending.items()):
                    if deadline.when <= now:
                        del self._pending[number]
                        deadline.strike()
                self._wakes_at = min((d.when for d in self._pending.values()), default=now + 3600.0)
                self._changed.wait(self._wakes_at - now)


_watcher = _Watcher()


@contextlib.contextmanager
def within(seconds: float, connections: ConnectionWatch) -> Iterator[Deadline]:
    """Lets the block, one call over these connections, take so many seconds; then the connections break.

    The block must look at ``passed`` however it ends: a body without a length ends well when its connection
    breaks.
    """
    deadline = Deadline(time.monotonic() + seconds, connections)
    with _watcher.until(deadline):
        yield deadline
