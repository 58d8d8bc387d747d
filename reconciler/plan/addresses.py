"""Which address each pod of a job has: decided before anything runs, so that no rank waits for another.

Rank 0 has the first usable address after the gateway, and so on in the order of ``JobPlan.pods``;
a restart changes nothing. What can go wrong: the subnet is too small for the job.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from reconciler.errors import PlanError
from reconciler.plan.expansion import HOST
from reconciler.plan.job_plan import JobPlan

LOOPBACK = "127.0.0.1"


def plan_addresses(plan: JobPlan, subnet: str, gateway: str) -> dict[tuple[str, int], str]:
    """Address of every pod by ``(step, index)``, and of the engine's host by ``HOST``.

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
    everyone_on_host = all(i.host_network for i in plan.pods)
    host = LOOPBACK if everyone_on_host else str(start)
    wanted = [i for i in plan.pods if not i.host_network]
    free = _usable_after(network, start)
    planned: dict[tuple[str, int], str] = {}
    for pod in plan.pods:
        if pod.host_network:
            planned[pod.step, pod.index] = host
            continue
        address = next(free, None)
        if address is None:
            raise PlanError(
                f"The job needs {len(wanted)} addresses, more than its network's subnet {subnet} has.",
                path="spec.trainer.numNodes",
                remedy="Run fewer nodes, or give the engine a larger address pool.",
            )
        planned[pod.step, pod.index] = address
    planned[HOST] = host
    return planned


def _usable_after(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
    start: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterator[str]:
    """Usable addresses after ``start``, then those before it."""
    first, last = int(network[0]) + 1, int(network[-1]) - (network.version == 4)
    gateway = int(start)
    inside = first <= gateway <= last
    for value in range(gateway + 1 if inside else first, last + 1):
        yield str(type(start)(value))
    for value in range(first, gateway if inside else first):
        yield str(type(start)(value))
