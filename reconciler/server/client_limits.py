"""How much of the daemon a client may take."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Upstream's time-outs and body limit; the rest keeps strangers from using the daemon up.

    Attributes:
        read: seconds for a whole request, from its first byte to its last; the TLS handshake has as many.
        write: seconds for the client to take the answer.
        idle: seconds that a connection may wait for its next request.
        body: bytes of a request's body.
        head: bytes of a request line and headers.
        connections: open at once, in all; the longest idle one makes room.
        per_peer: open at once from one address.
        linger: seconds for which what a refused client still sends is thrown away, so that it reads why.
    """

    read: float = 10.0
    write: float = 10.0
    idle: float = 120.0
    body: int = 65_536
    head: int = 16_384
    connections: int = 256
    per_peer: int = 32
    linger: float = 2.0
