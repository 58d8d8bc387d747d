"""An engine in memory, behind the same Protocol as the real ones, that can fail before and after each effect.

It also watches: what the daemon asks for is checked against the rules no fault excuses (``witness``).
"""

# ruff: noqa: ARG002  (the Protocol names the arguments)
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from reconciler.engines.protocol import (
    ContainerState,
    EngineEvent,
    EngineInfo,
    EventStream,
    ExecSession,
    LogStream,
    NetworkState,
    PullProgress,
    RegistryAuth,
    VolumeState,
)
from reconciler.engines.specs import ContainerSpec, Mount, NetworkSpec, VolumeSpec
from reconciler.errors import (
    Busy,
    Conflict,
    EngineError,
    EngineUnavailable,
    ImageError,
    NotFound,
    StartFailed,
)
from tests.simulation.faults import Faults
from tests.simulation.world import SimulatedContainer, SimulatedNetwork, World


class Witness(Protocol):
    """Told of each thing the daemon does to the world, just before it takes effect."""

    def creates(self, spec: ContainerSpec) -> None: ...
    def starts(self, container: SimulatedContainer) -> None: ...
    def touches(self, kind: str, name: str, labels: Mapping[str, str]) -> None: ...
    def removes(self, container: SimulatedContainer) -> None: ...


class Output:
    """What a container printed, in one piece."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[bytes]:
        return iter((self._data,))

    def close(self) -> None:
        pass


class Silence:
    """An event stream: the driver delivers events itself, to lose, repeat and reorder them."""

    def __iter__(self) -> Iterator[EngineEvent]:
        return iter(())

    def close(self) -> None:
        pass


@dataclass
class SimulatedEngine:
    """See the module. ``refuses``: why a container cannot be started, or ""."""

    world: World
    faults: Faults
    witness: Witness
    refuses: Callable[[SimulatedContainer], str] = lambda _container: ""
    name: str = "simulated"

    def _answering(self) -> None:
        if not self.world.up:
            raise EngineUnavailable("No engine answers (simulated).")

    def info(self) -> EngineInfo:
        self._answering()
        return EngineInfo(name=self.name, version="1", cpus=8, memory=1 << 34)

    # -- reading

    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        with self.faults.point("list_containers", ""):
            self._answering()
            return [container.view() for container in self.world.carrying(labels)]

    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        with self.faults.point("list_networks", ""):
            self._answering()
            nets = self.world.networks.values()
            return [_state(n) for n in nets if all(n.labels.get(k) == v for k, v in labels.items())]

    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        with self.faults.point("list_volumes", ""):
            self._answering()
            return [
                VolumeState(name=name, labels=own)
                for name, own in self.world.volumes.items()
                if all(own.get(k) == v for k, v in labels.items())
            ]

    def inspect_container(self, name: str) -> ContainerState:
        with self.faults.point("inspect_container", name):
            return self._container(name).view()

    def inspect_network(self, name: str) -> NetworkState:
        with self.faults.point("inspect_network", name):
            self._answering()
            if name not in self.world.networks:
                raise NotFound(f"There is no network {name}.")
            return _state(self.world.networks[name])

    # -- networks and volumes

    def create_network(self, spec: NetworkSpec) -> NetworkState:
        with self.faults.point("create_network", spec.name):
            self._answering()
            if spec.name in self.world.networks:
                raise Conflict(f"The network {spec.name} exists.")
            number = next(self.world.ids)
            prefix = f"10.{number // 250 % 250}.{number % 250}"
            network = SimulatedNetwork(
                f"n{number}", spec.name, dict(spec.labels), f"{prefix}.0/24", f"{prefix}.1"
            )
            self.world.networks[spec.name] = network
            self.world.tell("network", "create", spec.name, spec.labels)
            return _state(network)

    def remove_network(self, name: str) -> None:
        with self.faults.point("remove_network", name):
            self._answering()
            network = self.world.networks.get(name)
            if network is not None:
                self.witness.touches("network", name, network.labels)
                users = [b.name for b in self.world.containers.values() if b.live and b.spec.network == name]
                if users:
                    raise Conflict(f"The network {name} is in use by {users}.")
                self.world.remove_network(name)

    def create_volume(self, spec: VolumeSpec) -> None:
        with self.faults.point("create_volume", spec.name):
            self._answering()
            own = self.world.volumes.setdefault(spec.name, {**spec.labels, **spec.owner_labels})
            if not spec.matches(own):
                raise Conflict(f"The volume {spec.name} exists with other labels.")

    def remove_volume(self, name: str) -> None:
        with self.faults.point("remove_volume", name):
            self._answering()
            if name in self.world.volumes:
                self.witness.touches("volume", name, self.world.volumes[name])
                users = [
                    b for b in self.world.containers.values() if any(m.source == name for m in b.spec.mounts)
                ]
                if users:
                    raise Conflict(f"The volume {name} is in use by {users[0].name}.")
                del self.world.volumes[name]

    # -- containers

    def create_container(self, spec: ContainerSpec) -> str:
        with self.faults.point("create_container", spec.name):
            self._answering()
            if spec.image not in self.world.images:
                raise NotFound(f"There is no image {spec.image}.")
            if self.world.find(spec.name) is not None:
                raise Conflict(f"The container {spec.name} exists.")
            if spec.network and spec.network not in self.world.networks:
                raise NotFound(f"There is no network {spec.network}.")
            if spec.share_network_with and self.world.find(spec.share_network_with) is None:
                raise NotFound(f"There is no container {spec.share_network_with} to share with.")
            self.witness.creates(spec)
            container = SimulatedContainer(
                f"c{next(self.world.ids):06d}", spec.name, spec, self.world.clock(), dict(spec.labels)
            )
            self.world.containers[container.id] = container
            self.world.tell("container", "create", container.name, container.labels)
            return container.id

    def verify_container(self, container: str, spec: ContainerSpec) -> None:
        with self.faults.point("verify_container", container):
            self._container(container)

    def start_container(self, container: str) -> None:
        with self.faults.point("start_container", container):
            found = self._container(container)
            if found.live:
                return
            owner = found.spec.share_network_with
            shared = self.world.find(owner) if owner else None
            if owner and (shared is None or not shared.live):
                raise Busy(f"{owner}, whose network is to be shared, does not run.")
            taken = [b for b in self.world.containers.values() if b.live and _same_address(b, found)]
            if taken:
                raise Busy(f"The address {found.spec.address} is in use by {taken[0].name}.")
            if why := self.refuses(found):
                raise StartFailed(why)
            self.witness.touches("container", found.name, found.labels)
            self.witness.starts(found)
            self.world.start(found)

    def stop_container(self, container: str, grace: float) -> None:
        with self.faults.point("stop_container", container):
            self._answering()
            found = self.world.find(container)
            if found is None:
                return
            self.witness.touches("container", found.name, found.labels)
            if not found.behaviour.stops_on_term and found.live:
                # The others go on meanwhile; only ends are let happen, nobody is told of pulls here.
                self.world.now += min(grace, 0.5)
            self.world.end(found, 143 if found.behaviour.stops_on_term else 137)

    def unpause_container(self, container: str) -> None:
        with self.faults.point("unpause_container", container):
            self._answering()
            found = self.world.find(container)
            if found is not None:
                self.witness.touches("container", found.name, found.labels)
                self.world.unpause(found)

    def remove_container(self, container: str, *, force: bool = True) -> None:
        with self.faults.point("remove_container", container):
            self._answering()
            found = self.world.find(container)
            if found is not None:
                if found.live and not force:
                    raise Conflict(f"The container {found.name} is running.")
                self.witness.touches("container", found.name, found.labels)
                self.witness.removes(found)
                self.world.remove(found)

    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        with self.faults.point("exec", container):
            found = self._container(container)
            if not found.live:
                raise EngineError(f"{found.name} does not run.")
            return 0, " ".join(command).encode()

    def exec_session(
        self, container: str, command: tuple[str, ...], *, tty: bool, stdin: bool
    ) -> ExecSession:
        raise EngineError("Nobody sits before a simulation.")

    def dated_logs(self, container: str, *, since: float | None, follow: bool, tail: int | None) -> LogStream:
        raise EngineError("A simulation keeps no times.")

    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        with self.faults.point("logs", container):
            return Output(self._container(container).printed)

    # -- images and the rest

    def image_exists(self, image: str) -> bool:
        with self.faults.point("image_exists", image):
            self._answering()
            return image in self.world.images

    def sub_path_root(self, mount: Mount) -> str | None:
        return None

    def image_user(self, image: str) -> str | None:
        with self.faults.point("image_user", image):
            self._answering()
            return "" if image in self.world.images else None

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        with self.faults.point("pull_image", image):
            self._answering()
            if image not in self.world.registry:
                raise ImageError(f"The registry has no {image}.")
            self.world.images.add(image)

    def events(self) -> EventStream:
        return Silence()

    def limitations(self, spec: ContainerSpec) -> tuple[str, ...]:
        """None: what a container engine makes is checked by inspect."""
        return ()

    def devices(self) -> Mapping[str, tuple[str, ...]]:
        with self.faults.point("devices", ""):
            self._answering()
            return dict(self.world.devices)

    def close(self) -> None:
        pass

    def _container(self, name: str) -> SimulatedContainer:
        self._answering()
        container = self.world.find(name)
        if container is None:
            raise NotFound(f"There is no container {name}.")
        return container


def _state(network: SimulatedNetwork) -> NetworkState:
    return NetworkState(
        id=network.id,
        name=network.name,
        labels=dict(network.labels),
        subnet=network.subnet,
        gateway=network.gateway,
    )


def _same_address(one: SimulatedContainer, other: SimulatedContainer) -> bool:
    here, there = one.spec, other.spec
    return bool(here.address) and (here.network, here.address) == (there.network, there.address)
