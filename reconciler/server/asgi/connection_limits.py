"""How much of the daemon its clients may take, and which connections are open."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from operator import itemgetter


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Upstream's time-outs and body limit; the rest keeps clients from exhausting the daemon.

    Attributes:
        read: seconds that a client may take to send a request, from its first byte to its last; the TLS
            handshake has as many.
        write: seconds that a client may take to receive what is sent at once.
        idle: seconds that a connection may wait for its next request.
        body: bytes of a request's body.
        head: bytes of a request line and headers.
        connections: open at once, in all; the longest idle one is closed for a new one.
        per_peer: open at once from one address.
        linger: seconds for which a refused client's data is discarded, so that it reads the answer.
    """

    read: float = 10.0
    write: float = 10.0
    idle: float = 120.0
    body: int = 65_536
    head: int = 16_384
    connections: int = 256
    per_peer: int = 32
    linger: float = 2.0


@dataclass(eq=False)
class Client:
    """One open connection.

    Attributes:
        peer: the client's address.
        idle_since: when it began to wait for its next request; None while one is answered.
    """

    peer: str
    idle_since: float | None = field(default_factory=time.monotonic)

    def set_idle(self, *, idle: bool) -> None:
        """Records whether the connection only waits for its next request."""
        self.idle_since = time.monotonic() if idle else None


class ConnectionTable:
    """The open connections by their tasks; used on the loop's thread only."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._clients: dict[asyncio.Task[None], Client] = {}

    def make_room(self, peer: str) -> bool:
        """Closes the longest idle connection where a limit is reached; returns whether there is room."""
        crowd = {task: client for task, client in self._clients.items() if client.peer == peer}
        if len(crowd) < self._limits.per_peer:
            crowd = self._clients
            if len(crowd) < self._limits.connections:
                return True
        idle = [(client.idle_since, task) for task, client in crowd.items() if client.idle_since is not None]
        if not idle:
            return False
        _, longest = min(idle, key=itemgetter(0))
        del self._clients[longest]
        longest.cancel()
        return True

    def add(self, task: asyncio.Task[None], client: Client) -> None:
        """Counts a connection until its task ends."""
        self._clients[task] = client
        task.add_done_callback(lambda done: self._clients.pop(done, None))
