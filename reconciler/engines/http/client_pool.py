"""HTTP clients of an engine, one per thread.

podman-py's and docker-py's clients are each one ``requests.Session``, which is not thread-safe; and a
stream that is being read occupies its connection. So each thread has its own client, and each stream
gets a fresh one that is closed with it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """Something with connections to release."""

    def close(self) -> None:
        """Release them."""


C = TypeVar("C", bound=Closable)


class ThreadClients(Generic[C]):
    """Gives each thread its own client; a thread that ends leaves its client to the garbage collector."""

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._local = threading.local()
        self._all: weakref.WeakSet[C] = weakref.WeakSet()
        self._lock = threading.Lock()

    def get(self) -> C:
        """This thread's client."""
        client: C | None = getattr(self._local, "client", None)
        if client is None:
            client = self.fresh()
            self._local.client = client
        return client

    def fresh(self) -> C:
        """A client of its own for a stream; whoever asked closes it."""
        client = self._make()
        with self._lock:
            self._all.add(client)
        return client

    def close(self) -> None:
        """Close every client, also those of other threads; a later call opens connections anew."""
        with self._lock:
            clients = list(self._all)
        for client in clients:
            client.close()
