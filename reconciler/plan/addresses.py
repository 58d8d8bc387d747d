"""Addresses of a job's pods: decided before anything runs, so that no rank waits for another.

Rank 0 gets the first usable address after the gateway, the next pod in ``JobPlan.pods`` the next one; a
restart changes nothing. What can go wrong: the subnet is too small for the job.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from reconciler.errors import PlanError
from reconciler.plan.expansion import HOST
from reconciler.plan.job_plan import JobPlan

_LOOPBACK: Final = "127.0.0.1"


def plan_addresses(plan: JobPlan, subnet: str, gateway: str) -> dict[tuple[str, int], str]:
    """Returns the address of every pod by ``(step, index)``, and of the engine's host by ``HOST``.

    Args:
        plan: the job.
        subnet: of the job's network, ``10.89.3.0/24``; a part of 127.0.0.0/8 does as well.
        gateway: the network's gateway; "" stands for the first address of the subnet, which then
            stays free.

    Returns:
        A pod on the host's network has the gateway's address, at which the others reach the
        host; 127.0.0.1 when all pods are there.

    Raises:
        PlanError: the subnet has too few addresses.
    """
    network = ipaddress.ip_network(subnet, strict=False)
    start = ipaddress.ip_address(gateway) if gateway else network[1]
    host = _LOOPBACK if all(pod.host_network for pod in plan.pods) else str(start)
    free = _usable_after(network, start)
    addresses: dict[tuple[str, int], str] = {}
    for pod in plan.pods:
        address = host if pod.host_network else next(free, None)
        if address is None:
            needed = sum(not pod.host_network for pod in plan.pods)
            raise PlanError(
                f"The job needs {needed} addresses, more than its network's subnet {subnet} has.",
                path="spec.trainer.numNodes",
                remedy="Run fewer nodes, or give the engine a larger address pool.",
            )
        addresses[pod.step, pod.index] = address
    addresses[HOST] = host
    return addresses


def _usable_after(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
    start: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterator[str]:
    """Yields the usable addresses after ``start``, then those before it."""
    first, last = int(network[0]) + 1, int(network[-1]) - (network.version == 4)
    gateway = int(start)
    inside = first <= gateway <= last
    for value in range(gateway + 1 if inside else first, last + 1):
        yield str(type(start)(value))
    for value in range(first, gateway if inside else first):
        yield str(type(start)(value))
