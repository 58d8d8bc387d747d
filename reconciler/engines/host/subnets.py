"""Which subnet a network gets where the engine cannot be left to choose.

Docker takes fixed addresses only on a network whose subnet was given, so one has to be found that neither
the host's routes nor another network uses. The engine itself has the last word: it refuses an overlap
(another reconciler was faster), and the next candidate is tried.
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

#: Podman's own automatic subnets start at 10.89.0.0 and Docker's at 172.17.0.0: these stay clear of both.
DEFAULT_POOL: Final = ("10.128.0.0/9", "172.24.0.0/13", "192.168.128.0/17")

#: Addresses of a network that no container gets: its own, the broadcast one, the gateway's.
RESERVED: Final = 3

_ROUTES = Path("/proc/net/route")


def prefix_for(addresses: int) -> int:
    """The longest prefix, at most /24, that has room for so many containers.

    Raises:
        ValueError: more than a /16 holds.
    """
    prefix = min(24, 32 - (addresses + RESERVED - 1).bit_length())
    if prefix < 16:
        raise ValueError(f"{addresses} addresses do not fit into one network (at most {2**16 - RESERVED})")
    return prefix


def candidates(
    name: str, *, prefix: int, pool: Sequence[str] = DEFAULT_POOL, avoid: Iterable[IPv4Network] = ()
) -> Iterator[IPv4Network]:
    """Subnets of the pool that overlap with nothing in ``avoid``.

    A network's name decides where the search begins, so that those who search at once start far from each
    other, and a network made again gets the subnet it had. A route that contains a whole pool (a VPN's
    10.0.0.0/8) is heeded only as long as something else is left.
    """
    avoided = tuple(avoid)
    pools = [IPv4Network(text) for text in pool]
    yield from _search(name, prefix, pools, avoided)
    narrow = tuple(net for net in avoided if not any(net.supernet_of(whole) for whole in pools))
    if narrow != avoided:
        yield from _search(name, prefix, pools, narrow)


def _search(
    name: str, prefix: int, pools: Sequence[IPv4Network], avoided: Sequence[IPv4Network]
) -> Iterator[IPv4Network]:
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    for whole in pools:
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


def some(
    name: str,
    *,
    addresses: int,
    pool: Sequence[str] = DEFAULT_POOL,
    avoid: Iterable[IPv4Network] = (),
    limit: int = 64,
) -> list[str]:
    """The first few candidates with room for so many containers.

    Raises:
        EngineError: no network is that large.
    """
    try:
        prefix = prefix_for(addresses)
    except ValueError as error:
        raise EngineError(f"The network {name} cannot be made: {error}.") from error
    found = candidates(name, prefix=prefix, pool=pool, avoid=avoid)
    return [str(subnet) for subnet in itertools.islice(found, limit)]


def exhausted(name: str, pool: Sequence[str]) -> EngineError:
    """No subnet is left."""
    return EngineError(
        f"There is no free subnet for the network {name} in {', '.join(pool)}: "
        "routes of the host or other networks use them all.",
        remedy="Remove networks that are no longer used (`docker network prune`, `podman network prune`).",
    )


def host_routes(path: Path = _ROUTES) -> list[IPv4Network]:
    """The host's IPv4 routes, the default one left out; none where the kernel doesn't tell (macOS)."""
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
