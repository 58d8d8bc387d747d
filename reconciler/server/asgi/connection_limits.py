"""How much of the daemon its clients may take, which connections are open, and which makes room for another.

A new connection is let in as long as another of the same crowd only waits or drips: whoever fills places that
way loses them first, and nobody else does. The crowds are those of one address, of one listener (the
containers of one job have addresses of their own, and one listener), and all.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

#: Seconds after which a request that is still incomplete is a worse guest than an idle connection.
SLOW: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Upstream's time-outs and body limit; the rest keeps clients from exhausting the daemon.

    Attributes:
        read: seconds that a client may take to send a request, from its first byte to its last; for the first
            request from the connection on, the TLS handshake included.
        write: seconds that a client may take to receive what is sent at once.
        idle: seconds that a connection may wait for its next request.
        body: bytes of a request's body.
        head: bytes of a request line and headers.
        connections: open at once, in all.
        per_listener: open at once at one listener.
        per_peer: open at once from one address.
        linger: seconds for which a refused client's data is discarded, so that it reads the answer.
    """

    read: float = 10.0
    write: float = 10.0
    idle: float = 120.0
    body: int = 65_536
    head: int = 16_384
    connections: int = 256
    per_listener: int = 128
    per_peer: int = 32
    linger: float = 2.0


@dataclass(eq=False)
class Client:
    """One open connection.

    Attributes:
        peer: the client's address.
        listener: what it connected to; equal for the clients of one listener.
        idle_since: when it began to wait for its next request; None while it does not.
        receiving_since: when the request began that is not here completely yet; None while there is none.
            A new connection counts as one that has begun: it has its handshake to do, and must not be the
            first to make room for those that drip.
    """

    peer: str
    listener: object = None
    idle_since: float | None = None
    receiving_since: float | None = field(default_factory=time.monotonic)

    def set_idle(self) -> None:
        """The connection only waits for its next request, or for its end."""
        self.idle_since, self.receiving_since = time.monotonic(), None

    def set_receiving(self) -> None:
        """A request has begun."""
        self.idle_since, self.receiving_since = None, time.monotonic()

    def set_answering(self) -> None:
        """The request is here completely."""
        self.idle_since = self.receiving_since = None

    def rank(self, now: float) -> tuple[int, float] | None:
        """Returns its place among those that make room, the first one lowest; None: it does not."""
        if self.receiving_since is not None:
            return (0 if now - self.receiving_since > SLOW else 2, self.receiving_since)
        return (1, self.idle_since) if self.idle_since is not None else None


_Task = asyncio.Task[None]


class ConnectionTable:
    """The open connections by their tasks; used on the loop's thread only."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._clients: dict[_Task, Client] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def make_room(self, peer: str, listener: object = None) -> bool:
        """Closes a connection where a limit is reached; returns whether there is room for another.

        Args:
            peer: the address of the new client.
            listener: what it connected to.
        """
        everybody = self._clients
        here = {task: client for task, client in everybody.items() if client.listener == listener}
        own = {task: client for task, client in here.items() if client.peer == peer}
        if len(own) >= self._limits.per_peer:
            return self._close_worst(own)
        if len(here) >= self._limits.per_listener:
            return self._close_worst(_largest_peer(here))
        if len(everybody) >= self._limits.connections:
            (listener, _), *_ = Counter(client.listener for client in everybody.values()).most_common(1)
            crowd = {task: client for task, client in everybody.items() if client.listener == listener}
            return self._close_worst(_largest_peer(crowd)) or self._close_worst(everybody)
        return True

    def add(self, task: _Task, client: Client) -> None:
        """Counts a connection until its task ends."""
        self._clients[task] = client
        task.add_done_callback(lambda done: self._clients.pop(done, None))

    def _close_worst(self, crowd: Mapping[_Task, Client]) -> bool:
        """Closes the connection that makes room first; returns False where all are being answered."""
        now = time.monotonic()
        ranked = [(rank, task) for task, client in crowd.items() if (rank := client.rank(now)) is not None]
        if not ranked:
            return False
        _, worst = min(ranked, key=lambda entry: entry[0])
        del self._clients[worst]
        worst.cancel()
        return True


def _largest_peer(crowd: Mapping[_Task, Client]) -> dict[_Task, Client]:
    """Returns the connections of the address that has most of them."""
    (peer, _), *_ = Counter(client.peer for client in crowd.values()).most_common(1)
    return {task: client for task, client in crowd.items() if client.peer == peer}
