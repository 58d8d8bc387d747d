"""Parses what Docker reports of itself, of networks and of a container's name. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.engines.docker.docker_answers import InfoAnswer, NetworkAnswer, SubnetAnswer
from reconciler.engines.protocol import EngineInfo, NetworkState


def parse_info(response: InfoAnswer, *, url: str, same_mounts: bool) -> EngineInfo:
    """Returns the engine's facts, from ``/info``."""
    options = response.get("SecurityOptions") or ()
    return EngineInfo(
        name="docker",
        version=response["ServerVersion"],
        host=url,
        rootless=any("rootless" in option for option in options),
        cpus=float(response.get("NCPU") or 0),
        memory=response.get("MemTotal") or 0,
        same_mounts=same_mounts,
        details={
            "cgroup_version": response.get("CgroupVersion", ""),
            "cgroup_controllers": _controllers(response),
            "network_backend": "bridge",
            "storage_driver": response.get("Driver", ""),
            "storage_root": response.get("DockerRootDir", ""),
            "cdi": bool(response.get("CDISpecDirs")),
        },
    )


def _controllers(response: InfoAnswer) -> tuple[str, ...]:
    """Returns the cgroup controllers, as far as ``/info`` reports them."""
    keys = {"memory": "MemoryLimit", "cpu": "CpuCfsQuota", "cpuset": "CPUSet", "pids": "PidsLimit"}
    return tuple(name for name, key in keys.items() if response.get(key))


def parse_name(names: Sequence[str]) -> str:
    """Returns the container's name; links add names with another container's in front."""
    return next((name[1:] for name in names if name.count("/") == 1), "")


def parse_network(item: NetworkAnswer) -> NetworkState:
    """Returns a network of a listing or an inspect; of two subnets the IPv4 one."""
    configs = (item.get("IPAM") or {}).get("Config") or ()
    none = SubnetAnswer()
    config = next((each for each in configs if ":" not in each.get("Subnet", "")), none)
    return NetworkState(
        id=item["Id"],
        name=item["Name"],
        labels=item.get("Labels") or {},
        subnet=config.get("Subnet", ""),
        gateway=config.get("Gateway", "").partition("/")[0],
    )
