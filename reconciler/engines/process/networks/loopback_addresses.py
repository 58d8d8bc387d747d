"""Chooses the loopback subnets, addresses and rendezvous ports of networks.

Every job has a /24 (larger where needed) of 127.128.0.0/9, in which each rank has an address. Programs that
listen on all interfaces (torch's TCPStore, jax's coordinator) would still collide on one port: so each
network has a rendezvous port of its own as well, the usual one while that is free.

What can go wrong: another user's daemon on the same machine chooses the same subnet. Its search begins
elsewhere, and the port is tried before it is taken, so that two jobs then share addresses, not sockets.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import zlib
from collections.abc import Iterable
from functools import cache
from typing import Final

from reconciler.errors import EngineError
from reconciler.names import MASTER_PORT

POOL: Final = ipaddress.ip_network("127.128.0.0/9")
LOCALHOST: Final = "127.0.0.1"
_SMALLEST_PREFIX: Final = 24
_LARGEST_PREFIX: Final = 16
#: Network, gateway and broadcast address, which no container gets.
_RESERVED: Final = 3
_PORTS: Final = range(MASTER_PORT, MASTER_PORT + 2000)


@cache
def can_bind_any_loopback() -> bool:
    """Whether all of 127.0.0.0/8 can be bound to (Linux), or 127.0.0.1 only (macOS)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((str(POOL[-2]), 0))
        except OSError:
            return False
    return True


def choose_subnet(taken: Iterable[str], *, addresses: int, seed: str) -> str:
    """Returns a free subnet of the pool.

    Args:
        taken: CIDRs in use.
        addresses: how many containers need one.
        seed: determines where the search begins; different daemons use different ones.

    Raises:
        EngineError: none is left.
    """
    prefix = _SMALLEST_PREFIX
    while 2 ** (32 - prefix) - _RESERVED < addresses and prefix > _LARGEST_PREFIX:
        prefix -= 1
    used = [ipaddress.ip_network(cidr) for cidr in taken]
    count = 2 ** (prefix - POOL.prefixlen)
    size = 2 ** (32 - prefix)
    first = zlib.crc32(seed.encode()) % count
    for step in range(count):
        start = int(POOL.network_address) + (first + step) % count * size
        candidate = ipaddress.ip_network((start, prefix))
        if not any(candidate.overlaps(other) for other in used):
            return str(candidate)
    raise EngineError(
        f"No loopback subnet is left for {addresses} addresses.",
        remedy="Delete finished jobs: each keeps its network until it is removed.",
    )


def choose_address(subnet: str, taken: Iterable[str]) -> str:
    """Returns the lowest free address after the gateway.

    Raises:
        EngineError: none is left.
    """
    used = set(taken)
    network = ipaddress.ip_network(subnet)
    for number in range(2, network.num_addresses - 1):
        if str(network[number]) not in used:
            return str(network[number])
    raise EngineError(f"No address is left in {subnet}.")


def choose_port(taken: Iterable[int]) -> int:
    """Returns the rendezvous port of a network: 29500 where it is free, else the next free one.

    Raises:
        EngineError: none is free.
    """
    used = set(taken)
    for port in _PORTS:
        if port not in used and is_port_free(port):
            return port
    raise EngineError(f"No port from {_PORTS.start} to {_PORTS.stop - 1} is free for a job's rendezvous.")


def is_port_free(port: int) -> bool:
    """Whether a server can listen on the port on all interfaces."""
    for family, address in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
                probe.listen(1)
        except OSError as error:
            if error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:  # a machine without IPv6
                return False
    return True


def is_usable(subnet: str, address: str) -> bool:
    """Whether a container may have the address: in the subnet, and not the gateway, first or last."""
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return False
    network = ipaddress.ip_network(subnet)
    return given in network and given not in {network[0], network[1], network[-1]}
