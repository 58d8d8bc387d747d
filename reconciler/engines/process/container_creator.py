"""Creates a container's folder: all that starting it takes, decided once and written to ``spec.json``."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.engines.process.host_facts import HostFeatures
from reconciler.engines.process.launch_spec import Placement, build_launch
from reconciler.engines.process.networks import loopback_addresses
from reconciler.engines.process.networks.loopback_networks import LoopbackNetworks
from reconciler.engines.process.process_volumes import Volumes
from reconciler.engines.process.state_folder import StateFolder
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import ContainerSpec
from reconciler.errors import NotFound, StartFailed

Json = dict[str, Any]


def create_container(
    spec: ContainerSpec,
    *,
    state: StateFolder,
    networks: LoopbackNetworks,
    volumes: Volumes,
    features: HostFeatures,
    inventory: Mapping[str, tuple[str, ...]],
) -> str:
    """Creates the folder, under the lock of all networks: nothing it uses may be removed meanwhile.

    Args:
        spec: of the container.
        state: where the folder is created.
        networks: of the same state folder.
        volumes: likewise.
        features: of this machine.
        inventory: devices of this machine.

    Returns:
        The container's id.

    Raises:
        Conflict: the name is taken.
        NotFound: the network, a volume, or the container whose network is shared is missing.
        StartFailed: it can never start.
    """
    container_id = secrets.token_hex(32)

    def fill(home: Path, build: Path) -> Json:
        owner = _find_owner(state, spec.share_network_with) if spec.share_network_with else None
        network_name = owner["network"] if owner else spec.network
        network = networks.inspect(network_name) if network_name else None
        placement = Placement(
            id=container_id,
            home=home,
            build=build,
            shims=state.shims,
            find_volume=volumes.find_data,
            features=features,
            inventory=inventory,
            network=network,
            address=owner["address"] if owner else _choose_address(state, spec, network),
            hostname=owner["hostname"] if owner else "" if spec.host_network else spec.hostname,
        )
        launch, rewriter = build_launch(spec, placement)
        if launch["user"] is not None:
            os.chown(build / "work", launch["user"]["uid"], launch["user"]["gid"])
        return {
            "id": container_id,
            "name": spec.name,
            "labels": dict(spec.labels),
            "image": spec.image,
            "created_at": time.time(),
            "address": placement.address,
            "network": network_name,
            "shared": bool(owner),
            "hostname": placement.hostname,
            "volumes": [m.source for m in spec.mounts if m.kind == "volume"],
            "rewrite": rewriter.arguments,
            "launch": launch,
        }

    with state.locked():
        state.add_container(spec.name, fill)
    return container_id


def _find_owner(state: StateFolder, name: str) -> Json:
    found = state.find_container(name)
    if found is None:
        raise NotFound(f"There is no container {name} whose network could be shared.")
    return found[1]


def _choose_address(state: StateFolder, spec: ContainerSpec, network: NetworkState | None) -> str:
    if network is None:
        return ""
    if not spec.address:
        on_network = state.list_containers(lambda other: bool(other["network"] == network.name))
        others = (other for _, other in on_network)
        taken = (other["address"] for other in others if other["network"] == network.name)
        return loopback_addresses.choose_address(network.subnet, taken)
    if not loopback_addresses.is_usable(network.subnet, spec.address):
        raise StartFailed(f"{spec.address} is not a usable address of {network.subnet} ({network.name}).")
    return spec.address
