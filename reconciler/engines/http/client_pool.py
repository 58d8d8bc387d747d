"""HTTP clients of an engine, one per thread.

podman-py's and docker-py's clients are each one ``requests.Session``, which is not thread-safe; and a
stream that is being read occupies its connection. So each thread has its own client, and each stream
gets a fresh one that is closed with it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from reconciler.engines.http.calls.call_deadlines import ConnectionWatch


class PooledClient(NamedTuple):
    """A client, and what breaks its connections."""

    session: Any
    connections: ConnectionWatch


class ClientPool:
    """Gives each thread its own client; a thread that ends leaves its client to the garbage collector."""

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._local = threading.local()
        self._all: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()

    def get(self) -> PooledClient:
        """Returns this thread's client."""
        if not hasattr(self._local, "client"):
            self._local.client = self.create()
        client: PooledClient = self._local.client
        return client

    def create(self) -> PooledClient:
        """Creates a client for one stream; the caller closes it."""
        session = self._create()
        with self._lock:
            self._all.add(session)
        return PooledClient(session, ConnectionWatch(session))

    def discard(self) -> None:
        """Closes this thread's client: what is on its connections belongs to a call that was given up."""
        client: PooledClient | None = self._local.__dict__.pop("client", None)
        if client is not None:
            client.session.close()

    def close(self) -> None:
        """Closes every client, also those of other threads; a later call opens new connections."""
        with self._lock:
            clients = list(self._all)
        for client in clients:
            client.close()
