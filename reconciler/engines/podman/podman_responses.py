"""Parses what Podman reports of itself, of a container's state and of networks. Pure."""

from __future__ import annotations

from reconciler.engines.http.container_json import parse_state
from reconciler.engines.podman.podman_answers import InfoAnswer, NetworkAnswer, StoreAnswer
from reconciler.engines.protocol import ContainerStateName, EngineInfo, NetworkState


def parse_info(response: InfoAnswer, *, url: str, same_mounts: bool) -> EngineInfo:
    """Returns the engine's facts, from ``/info``."""
    host = response["host"]
    store: StoreAnswer = response.get("store") or {}
    mappings = (host.get("idMappings") or {}).get("uidmap") or ()
    return EngineInfo(
        name="podman",
        version=response["version"]["Version"],
        host=url,
        rootless=host["security"]["rootless"],
        cpus=float(host.get("cpus", 0)),
        memory=host.get("memTotal", 0),
        same_mounts=same_mounts,
        details={
            "cgroup_version": host.get("cgroupVersion", "").removeprefix("v"),
            "cgroup_controllers": tuple(host.get("cgroupControllers") or ()),
            "network_backend": host.get("networkBackend", ""),
            "storage_driver": store.get("graphDriverName", ""),
            "storage_root": store.get("graphRoot", ""),
            "storage_run": store.get("runRoot", ""),
            "mapped_users": sum(part.get("size", 0) for part in mappings),
        },
    )


def parse_podman_state(word: str, started: float | None) -> ContainerStateName:
    """Returns the state; what ran when the host went down is "created" for Podman, and must not run twice."""
    state = parse_state(word)
    return "exited" if state == "created" and started is not None else state


def parse_network(item: NetworkAnswer) -> NetworkState:
    """Returns a network of a listing or an inspect; of two subnets the IPv4 one."""
    subnet = next((each for each in item.get("subnets") or () if ":" not in each["subnet"]), None)
    return NetworkState(
        id=item.get("id", ""),
        name=item["name"],
        labels=item.get("labels") or {},
        subnet=subnet["subnet"] if subnet is not None else "",
        gateway=subnet.get("gateway", "").partition("/")[0] if subnet is not None else "",
        dns=item.get("dns_enabled", True),
    )
