"""The subnet pool: which subnet a job's network gets where the engine cannot be left to choose.

``--address-pool CIDR`` (``RECONCILER_ADDRESS_POOL``, ``address-pool:`` in ``reconciler.yaml``) sets the pool
for Docker; :data:`DEFAULT_SUBNET_POOL` is used without it, and by Podman for networks larger than its
automatic /24.

Docker accepts fixed addresses only on a network whose subnet was given, so one has to be found that neither
the host's routes nor another network uses. The engine has the last word: it rejects an overlap (another
reconciler was faster), and the next subnet is tried.
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

from reconciler.errors import EngineError

#: Podman's own automatic subnets start at 10.89.0.0 and Docker's at 172.17.0.0: the pool stays clear of both.
DEFAULT_SUBNET_POOL: Final = ("10.128.0.0/9", "172.24.0.0/13", "192.168.128.0/17")

#: Subnets handed to an engine to try, at most.
MAX_CANDIDATES: Final = 64

#: Addresses of a network that no container gets: its own, the broadcast one, the gateway's.
RESERVED_ADDRESSES: Final = 3

_ROUTES = Path("/proc/net/route")


def prefix_length_for(addresses: int) -> int:
    """Returns the longest prefix, at most /24, that has room for so many containers.

    Raises:
        ValueError: more than a /16 holds.
    """
    prefix = min(24, 32 - (addresses + RESERVED_ADDRESSES - 1).bit_length())
    if prefix < 16:
        raise ValueError(
            f"{addresses} addresses do not fit into one network (at most {2**16 - RESERVED_ADDRESSES})"
        )
    return prefix


def find_subnets(
    network: str,
    *,
    addresses: int,
    pool: Sequence[str] = DEFAULT_SUBNET_POOL,
    avoid: Iterable[IPv4Network] = (),
) -> list[str]:
    """Returns some free subnets for a network with room for so many containers, the best first.

    Raises:
        EngineError: no subnet is free, or no network is that large.
    """
    try:
        prefix = prefix_length_for(addresses)
    except ValueError as error:
        raise EngineError(f"The network {network} cannot be made: {error}.") from error
    free = iter_subnets(network, prefix=prefix, pool=pool, avoid=avoid)
    found = [str(subnet) for subnet in itertools.islice(free, MAX_CANDIDATES)]
    if not found:
        raise pool_exhausted(network, pool)
    return found


def iter_subnets(
    network: str,
    *,
    prefix: int,
    pool: Sequence[str] = DEFAULT_SUBNET_POOL,
    avoid: Iterable[IPv4Network] = (),
) -> Iterator[IPv4Network]:
    """Yields the subnets of the pool that overlap with nothing in ``avoid``.

    The network's name decides where the search begins, so that several searches at once start far from each
    other, and a network made again gets the subnet it had. A route that contains a whole range of the pool (a
    VPN's 10.0.0.0/8) is avoided only as long as something else is left.
    """
    avoided = tuple(avoid)
    ranges = [IPv4Network(text) for text in pool]
    yield from _search(network, prefix, ranges, avoided)
    narrow = tuple(net for net in avoided if not any(net.supernet_of(whole) for whole in ranges))
    if narrow != avoided:
        yield from _search(network, prefix, ranges, narrow)


def _search(
    network: str, prefix: int, ranges: Sequence[IPv4Network], avoided: Sequence[IPv4Network]
) -> Iterator[IPv4Network]:
    start = int.from_bytes(hashlib.sha256(network.encode()).digest()[:8], "big")
    for whole in ranges:
        # Routes elsewhere need not be compared with each of up to 32768 candidates.
        near = [net for net in avoided if net.overlaps(whole)]
        if prefix < whole.prefixlen or any(net.supernet_of(whole) for net in near):
            continue
        count = 2 ** (prefix - whole.prefixlen)
        size = 2 ** (32 - prefix)
        for step in range(count):
            first = int(whole.network_address) + (start + step) % count * size
            subnet = IPv4Network((first, prefix))
            if not any(net.overlaps(subnet) for net in near):
                yield subnet


def pool_exhausted(network: str, pool: Sequence[str]) -> EngineError:
    """Returns the error that says that no subnet is left."""
    return EngineError(
        f"There is no free subnet for the network {network} in {', '.join(pool)}: "
        "routes of the host or other networks use them all.",
        remedy="Remove networks that are no longer used (`docker network prune`, `podman network prune`).",
    )


def host_routes(path: Path = _ROUTES) -> list[IPv4Network]:
    """Returns the host's IPv4 routes without the default one; none where there is no such file (macOS)."""
    try:
        lines = path.read_text().splitlines()[1:]
    except OSError:
        return []
    routes = []
    for line in lines:
        fields = line.split()
        destination, mask = (_address(fields[1]), _address(fields[7]))
        if int(mask):
            routes.append(IPv4Network(f"{destination}/{mask}", strict=False))
    return routes


def _address(text: str) -> ipaddress.IPv4Address:
    # The kernel prints the number in the host's byte order.
    return ipaddress.IPv4Address(struct.pack("=I", int(text, 16)))
