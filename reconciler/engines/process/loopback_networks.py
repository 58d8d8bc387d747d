"""Networks that are loopback subnets: what is taken, and by whom."""

from __future__ import annotations

from typing import Any

from reconciler.engines.process import loopback_addresses
from reconciler.engines.process.port_reservations import Reservations
from reconciler.engines.process.state_folder import Folders
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import NetworkSpec
from reconciler.errors import Conflict, EngineError, NotFound


class Networks:
    """The networks of one state folder.

    Args:
        folders: the state.
        reservations: ports of other daemons' networks.
    """

    def __init__(self, folders: Folders, reservations: Reservations) -> None:
        self._folders = folders
        self._reservations = reservations

    def all(self) -> list[NetworkState]:
        """Every network."""
        return [_state(record) for record in self._folders.all_networks()]

    def inspect(self, name: str) -> NetworkState:
        """One network.

        Raises:
            NotFound: there is none.
        """
        record = self._folders.network(name)
        if record is None:
            raise NotFound(f"There is no network named {name}.")
        return _state(record)

    def create(self, spec: NetworkSpec, network_id: str) -> NetworkState:
        """Take a subnet and a port that no other network has.

        Raises:
            Conflict: the name is taken.
        """
        with self._folders.locked(), self._reservations.locked():
            others = self._folders.all_networks()
            if any(other["name"] == spec.name for other in others):
                raise Conflict(f"A network named {spec.name} exists already.")
            subnet = loopback_addresses.choose_subnet(
                (other["subnet"] for other in others),
                addresses=spec.min_addresses,
                seed=str(self._folders.root),
            )
            taken = self._reservations.taken().union(other["port"] for other in others)
            record: dict[str, Any] = {
                "id": network_id,
                "name": spec.name,
                "labels": dict(spec.labels),
                "subnet": subnet,
                "gateway": loopback_addresses.gateway_of(subnet),
                "port": loopback_addresses.choose_port(taken),
            }
            path = self._folders.add_network(record)
            self._reservations.take(record["port"], record=path, network_id=network_id)
        return _state(record)

    def remove(self, name: str) -> NetworkState | None:
        """Free the subnet and port; what it was, None if it was not there.

        Raises:
            EngineError: containers are on it.
        """
        with self._folders.locked():
            record = self._folders.network(name)
            if record is None:
                return None
            users = sorted(s["name"] for _, s in self._folders.all_containers() if s["network"] == name)
            if users:
                raise EngineError(
                    f"Network {name} is used by {', '.join(users)}.", remedy="Remove them first."
                )
            self._folders.drop_network(name)
        return _state(record)


def _state(record: dict[str, Any]) -> NetworkState:
    return NetworkState(
        id=record["id"],
        name=record["name"],
        labels=record["labels"],
        subnet=record["subnet"],
        gateway=record["gateway"],
        port=record["port"],
    )
