"""Whether and where a job's containers can reach the daemon. Pure, but for one look at this host's addresses.

The daemon's host owns the bridges of a rootful engine: a network's gateway is an address of this host that
only the job's containers (and this host) get to. What can go wrong is that it is not: an engine elsewhere,
in a virtual machine, or with networks in a namespace of its own (for Podman's there is a way in, see
``rootless``). Then the job gets no variables, and one sentence says why.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reconciler.engines.protocol import EngineInfo
from reconciler.plan.job_plan import PodPlan

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Where each pod reports to.

    Attributes:
        addresses: host and port by step and index; those who cannot reach the daemon are missing.
        trouble: why some are, as a sentence; "" when none is.
    """

    addresses: Mapping[tuple[str, int], str] = field(default_factory=dict)
    trouble: str = ""


def elsewhere(info: EngineInfo) -> str:
    """Why nothing of this engine can reach the daemon, by what is known of it; "" where it may."""
    if info.name == "process":
        return ""
    if info.host and not info.host.startswith("unix://"):
        return f"the engine at {info.host} may be on another host"
    if sys.platform != "linux":
        return "the engine's containers run in a virtual machine"
    return ""


def is_inside(info: EngineInfo) -> bool:
    """Whether its networks are in a namespace that this process is not in, but may have a way into."""
    return info.name == "podman" and info.rootless


def address_for(pod: PodPlan, info: EngineInfo, gateway: str) -> str:
    """The address at which the daemon listens for the pod."""
    return LOOPBACK if pod.host_network or info.name == "process" else gateway


def is_local(address: str) -> bool:
    """Whether it is an address of this host now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def endpoint(address: str, port: int) -> str:
    """As it stands in a URL."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
