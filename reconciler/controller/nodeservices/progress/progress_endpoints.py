"""Where a job's containers report to, and whether they can reach the daemon. Pure but for one host look-up.

The daemon's host owns the bridges of a rootful engine: a network's gateway is an address of this host that
only the job's containers (and this host) can reach. What can go wrong: the gateway is not on this host,
because the engine is on another host, in a virtual machine, or has its networks in a namespace of its own
(for Podman's there is a way in, see :mod:`.rootless_listeners`). Then the job gets no variables, and one
sentence says why.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.engines.protocol import EngineInfo
from reconciler.plan.job_plan import PodPlan


@dataclass(frozen=True, kw_only=True)
class ProgressEndpoints:
    """Where each pod reports to.

    Attributes:
        addresses: host and port by step and index; pods that cannot reach the daemon are missing.
        problem: why some pods cannot, as a sentence; "" when all can.
    """

    addresses: Mapping[tuple[str, int], str] = field(default_factory=dict)
    problem: str = ""


def unreachable_reason(info: EngineInfo) -> str:
    """Returns why no container of this engine can reach the daemon; "" where, by its facts, one may."""
    if info.name == "process":
        return ""
    if info.host and not info.host.startswith("unix://"):
        return f"the engine at {info.host} may be on another host"
    if sys.platform != "linux":
        return "the engine's containers run in a virtual machine"
    return ""


def is_pod_reachable(info: EngineInfo, pod: PodPlan) -> bool:
    """Whether this host can connect to a pod: an address beyond its own networks could be anybody's."""
    if unreachable_reason(info):
        return False
    # Rootless engines have their bridges in a namespace of their own; rootless Docker the host's network too.
    private = info.rootless and info.name != "process"
    return not private or (info.name == "podman" and pod.host_network)


def is_host_address(address: str) -> bool:
    """Whether this host has the address now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def format_host_port(address: str, port: int) -> str:
    """Returns host and port as they stand in a URL."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
