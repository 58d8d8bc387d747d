"""Parses what Podman reports of itself, of a container's state and of networks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.engines.http.container_json import parse_state
from reconciler.engines.protocol import ContainerStateName, EngineInfo, NetworkState


def parse_info(response: Mapping[str, Any], *, url: str, same_mounts: bool) -> EngineInfo:
    """Returns the engine's facts, from ``/info``."""
    host = response.get("host") or {}
    store = response.get("store") or {}
    mappings = (host.get("idMappings") or {}).get("uidmap") or ()
    return EngineInfo(
        name="podman",
        version=str((response.get("version") or {}).get("Version", "")),
        host=url,
        rootless=bool((host.get("security") or {}).get("rootless")),
        cpus=float(host.get("cpus") or 0),
        memory=int(host.get("memTotal") or 0),
        same_mounts=same_mounts,
        details={
            "cgroup_version": str(host.get("cgroupVersion", "")).removeprefix("v"),
            "cgroup_controllers": tuple(host.get("cgroupControllers") or ()),
            "network_backend": host.get("networkBackend", ""),
            "storage_driver": store.get("graphDriverName", ""),
            "storage_root": store.get("graphRoot", ""),
            "storage_run": store.get("runRoot", ""),
            "mapped_users": sum(int(part.get("size") or 0) for part in mappings),
        },
    )


def parse_podman_state(word: str, started: float | None) -> ContainerStateName:
    """Returns the state; what ran when the host went down is "created" for Podman, and must not run twice."""
    state = parse_state(word)
    return "exited" if state == "created" and started is not None else state


def parse_network(item: Mapping[str, Any]) -> NetworkState:
    """Returns a network of a listing or an inspect; of two subnets the IPv4 one."""
    subnet: Mapping[str, Any] = next(
        (each for each in item.get("subnets") or () if ":" not in each.get("subnet", "")), {}
    )
    return NetworkState(
        id=item.get("id") or "",
        name=item["name"],
        labels=item.get("labels") or {},
        subnet=subnet.get("subnet", ""),
        gateway=subnet.get("gateway", ""),
        dns=bool(item.get("dns_enabled", True)),
    )
