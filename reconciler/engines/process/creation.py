"""Making a container's folder: everything that starting it takes, decided once and written down."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reconciler.engines.process import command_translation, loopback_addresses
from reconciler.engines.process.state_folder import Folders
from reconciler.engines.specs import ContainerSpec
from reconciler.errors import NotFound, StartFailed

Json = dict[str, Any]


class Creator:
    """Makes containers on one machine.

    Args:
        folders: the state.
        isolated: whether a container gets a view of the file system of its own.
        many_addresses: whether it can have a loopback address of its own.
        limits: where control groups can be made, by controller.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        folders: Folders,
        *,
        isolated: bool,
        many_addresses: bool,
        limits: Mapping[str, str],
        now: Callable[[], float],
    ) -> None:
        self._folders = folders
        self._isolated = isolated
        self._many_addresses = many_addresses
        self._limits = limits
        self._now = now

    def create(
        self, spec: ContainerSpec, container_id: str, *, inventory: Mapping[str, tuple[str, ...]]
    ) -> None:
        """Make the folder. Under the lock of all networks: nothing it uses may be removed meanwhile.

        Raises:
            Conflict: the name is taken.
            NotFound: the network, a volume, or the container whose network is shared is missing.
            StartFailed: it can never start.
        """
        self._folders.add_container(
            spec.name, lambda home, build: self._fill(spec, container_id, home, build, inventory=inventory)
        )

    def _fill(
        self,
        spec: ContainerSpec,
        container_id: str,
        home: Path,
        build: Path,
        *,
        inventory: Mapping[str, tuple[str, ...]],
    ) -> Json:
        owner = self._owner(spec.share_network_with) if spec.share_network_with else None
        network_name = owner["network"] if owner else spec.network
        network = self._network(network_name) if network_name else None
        address = owner["address"] if owner else self._address(spec, network)
        place = command_translation.Place(
            id=container_id,
            home=home,
            build=build,
            shims=self._folders.shims,
            volume=self._volume,
            isolated=self._isolated,
            address=address,
            hostname=owner["hostname"] if owner else "" if spec.host_network else spec.hostname,
            network=network_name,
            port=network["port"] if network else None,
            subnet=network["subnet"] if network and not self._many_addresses else "",
            inventory=inventory,
            limits=self._limits,
        )
        launch, rewriter = command_translation.translate(spec, place)
        if launch["user"] is not None:
            os.chown(build / "work", launch["user"]["uid"], launch["user"]["gid"])
        return {
            "id": container_id,
            "name": spec.name,
            "labels": dict(spec.labels),
            "image": spec.image,
            "created_at": self._now(),
            "address": address,
            "network": network_name,
            "shared": bool(owner),
            "hostname": place.hostname,
            "volumes": [m.source for m in spec.mounts if m.kind == "volume"],
            "rewrite": rewriter.facts,
            "launch": launch,
        }

    def _owner(self, name: str) -> Json:
        found = self._folders.find(name)
        if found is None:
            raise NotFound(f"There is no container {name} whose network could be shared.")
        return found[1]

    def _network(self, name: str) -> Json:
        record = self._folders.network(name)
        if record is None:
            raise NotFound(f"There is no network named {name}.")
        return record

    def _volume(self, name: str) -> Path:
        data = self._folders.volume_data(name)
        if data is None:
            raise NotFound(f"There is no volume named {name}.")
        return data

    def _address(self, spec: ContainerSpec, network: Json | None) -> str:
        if network is None:
            return ""
        if not spec.address:
            others = (other for _, other in self._folders.all_containers())
            taken = (other["address"] for other in others if other["network"] == network["name"])
            return loopback_addresses.choose_address(network["subnet"], taken)
        if not loopback_addresses.usable(network["subnet"], spec.address):
            raise StartFailed(
                f"{spec.address} is no address that {network['subnet']} ({network['name']}) can give."
            )
        return spec.address
