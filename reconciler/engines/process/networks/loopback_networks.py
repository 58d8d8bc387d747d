"""Networks as loopback subnets, each with a rendezvous port of its own."""

from __future__ import annotations

import ipaddress
import secrets
from typing import Any

from reconciler.engines.process.networks import loopback_addresses
from reconciler.engines.process.networks.port_reservations import PortReservations
from reconciler.engines.process.state_folder import StateFolder
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import NetworkSpec
from reconciler.errors import Conflict, NotFound


class LoopbackNetworks:
    """The networks of one state folder.

    Args:
        state: the state folder.
        reservations: ports of all the user's daemons.
    """

    def __init__(self, state: StateFolder, reservations: PortReservations) -> None:
        self._state = state
        self._reservations = reservations

    def list_all(self) -> list[NetworkState]:
        """Returns every network."""
        return [_network_state(record) for record in self._state.list_networks()]

    def inspect(self, name: str) -> NetworkState:
        """Returns one network.

        Raises:
            NotFound: there is none.
        """
        record = self._state.load_network(name)
        if record is None:
            raise NotFound(f"There is no network named {name}.")
        return _network_state(record)

    def create(self, spec: NetworkSpec) -> NetworkState:
        """Takes a subnet and a port that no other network has.

        Raises:
            Conflict: the name is taken.
        """
        with self._state.locked(), self._reservations.locked():
            others = self._state.list_networks()
            if any(other["name"] == spec.name for other in others):
                raise Conflict(f"A network named {spec.name} exists already.")
            subnet = loopback_addresses.choose_subnet(
                (other["subnet"] for other in others),
                addresses=spec.min_addresses,
                seed=str(self._state.root),
            )
            taken = self._reservations.list_taken().union(other["port"] for other in others)
            record: dict[str, Any] = {
                "id": secrets.token_hex(32),
                "name": spec.name,
                "labels": dict(spec.labels),
                "subnet": subnet,
                # No container gets it, as on a bridge.
                "gateway": str(ipaddress.ip_network(subnet)[1]),
                "port": loopback_addresses.choose_port(taken),
            }
            path = self._state.add_network(record)
            self._reservations.take(record["port"], record=path, network_id=record["id"])
        return _network_state(record)

    def remove(self, name: str) -> NetworkState | None:
        """Frees subnet and port; returns the removed network, None where there was none.

        Raises:
            Conflict: containers are on it.
        """
        with self._state.locked():
            record = self._state.load_network(name)
            if record is None:
                return None
            found = self._state.list_containers(lambda summary: bool(summary["network"] == name))
            users = sorted(s["name"] for _, s in found if s["network"] == name)
            if users:
                raise Conflict(f"Network {name} is used by {', '.join(users)}.", remedy="Remove them first.")
            self._state.remove_network(name)
        return _network_state(record)


def _network_state(record: dict[str, Any]) -> NetworkState:
    return NetworkState(**{key: record[key] for key in ("id", "name", "labels", "subnet", "gateway", "port")})
