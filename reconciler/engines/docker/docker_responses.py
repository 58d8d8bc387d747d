"""What Docker says of itself, of networks and of a container's place, in this project's terms. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.engines.protocol import EngineInfo, NetworkState


def engine_info(
    answer: Mapping[str, Any],
    *,
    url: str,
    api_version: tuple[int, ...],
    same_mounts: bool,
    devices: Mapping[str, tuple[str, ...]],
) -> EngineInfo:
    """Who answered, from ``/info``."""
    options = answer.get("SecurityOptions") or ()
    return EngineInfo(
        name="docker",
        version=str(answer.get("ServerVersion", "")),
        host=url,
        rootless=any("rootless" in option for option in options),
        cpus=float(answer.get("NCPU") or 0),
        memory=int(answer.get("MemTotal") or 0),
        same_mounts=same_mounts,
        details={
            "api_version": ".".join(map(str, api_version)),
            "cgroup_version": str(answer.get("CgroupVersion", "")),
            "cgroup_controllers": _controllers(answer),
            "cgroup_manager": answer.get("CgroupDriver", ""),
            "network_backend": "bridge",
            "runtime": answer.get("DefaultRuntime", ""),
            "storage_driver": answer.get("Driver", ""),
            "storage_root": answer.get("DockerRootDir", ""),
            "warnings": tuple(answer.get("Warnings") or ()),
            "cdi": bool(answer.get("CDISpecDirs")),
            "cdi_devices": {kind: len(names) for kind, names in devices.items()},
        },
    )


def _controllers(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """Cgroup controllers as far as ``info`` tells of them."""
    told = {"memory": "MemoryLimit", "cpu": "CpuCfsQuota", "cpuset": "CPUSet", "pids": "PidsLimit"}
    return tuple(name for name, key in told.items() if answer.get(key))


def own_name(names: Sequence[str]) -> str:
    """The container's name; links add names with another container's in front."""
    return next((name[1:] for name in names if name.count("/") == 1), "")


def address_of(networks: Mapping[str, Any] | None) -> str:
    """The address on the only network: as it runs, or as it was given."""
    for network in (networks or {}).values():
        given = (network.get("IPAMConfig") or {}).get("IPv4Address")
        if address := network.get("IPAddress") or given:
            return str(address)
    return ""


def network_state(item: Mapping[str, Any]) -> NetworkState:
    """A network, from a listing or an inspect; of two subnets the IPv4 one."""
    configs = (item.get("IPAM") or {}).get("Config") or ()
    config: Mapping[str, Any] = next((each for each in configs if ":" not in each.get("Subnet", "")), {})
    return NetworkState(
        id=item["Id"],
        name=item["Name"],
        labels=item.get("Labels") or {},
        subnet=config.get("Subnet", ""),
        gateway=config.get("Gateway", ""),
    )
