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
    LogStream,
    NetworkState,
    PullProgress,
    RegistryAuth,
    VolumeState,
)
from reconciler.engines.specs import ContainerSpec, Mount, NetworkSpec, VolumeSpec
from reconciler.errors import Conflict, EngineError, EngineUnavailable, ImageError, NotFound, StartFailed
from tests.simulation.faults import Faults
from tests.simulation.world import Box, Net, World


class Witness(Protocol):
    """Told of each thing the daemon does to the world, just before it takes effect."""

    def creates(self, spec: ContainerSpec) -> None: ...
    def starts(self, box: Box) -> None: ...
    def touches(self, kind: str, name: str, labels: Mapping[str, str]) -> None: ...
    def removes(self, box: Box) -> None: ...


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
    refuses: Callable[[Box], str] = lambda _box: ""
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
            return [box.view() for box in self.world.carrying(labels)]

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
            return self._box(name).view()

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
            net = Net(f"n{number}", spec.name, dict(spec.labels), f"{prefix}.0/24", f"{prefix}.1")
            self.world.networks[spec.name] = net
            self.world.tell("network", "create", spec.name, spec.labels)
            return _state(net)

    def remove_network(self, name: str) -> None:
        with self.faults.point("remove_network", name):
            self._answering()
            net = self.world.networks.get(name)
            if net is not None:
                self.witness.touches("network", name, net.labels)
                users = [b.name for b in self.world.boxes.values() if b.live and b.spec.network == name]
                if users:
                    raise EngineError(f"The network {name} is in use by {users}.")
                self.world.remove_network(name)

    def create_volume(self, spec: VolumeSpec) -> None:
        with self.faults.point("create_volume", spec.name):
            self._answering()
            own = self.world.volumes.setdefault(spec.name, {**spec.labels, **spec.owner})
            if not spec.is_met_by(own):
                raise Conflict(f"The volume {spec.name} exists with other labels.")

    def remove_volume(self, name: str) -> None:
        with self.faults.point("remove_volume", name):
            self._answering()
            if name in self.world.volumes:
                self.witness.touches("volume", name, self.world.volumes[name])
                users = [b for b in self.world.boxes.values() if any(m.source == name for m in b.spec.mounts)]
                if users:
                    raise EngineError(f"The volume {name} is in use by {users[0].name}.")
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
            box = Box(f"c{next(self.world.ids):06d}", spec.name, spec, self.world.clock(), dict(spec.labels))
            self.world.boxes[box.id] = box
            self.world.tell("container", "create", box.name, box.labels)
            return box.id

    def start_container(self, container: str) -> None:
        with self.faults.point("start_container", container):
            box = self._box(container)
            if box.live:
                return
            owner = box.spec.share_network_with
            shared = self.world.find(owner) if owner else None
            if owner and (shared is None or not shared.live):
                raise StartFailed(f"{owner}, whose network is to be shared, does not run.")
            taken = [b for b in self.world.boxes.values() if b.live and _same_address(b, box)]
            if taken:
                raise Conflict(f"The address {box.spec.address} is in use by {taken[0].name}.")
            if why := self.refuses(box):
                raise StartFailed(why)
            self.witness.touches("container", box.name, box.labels)
            self.witness.starts(box)
            self.world.start(box)

    def stop_container(self, container: str, grace: float) -> None:
        with self.faults.point("stop_container", container):
            self._answering()
            box = self.world.find(container)
            if box is None:
                return
            self.witness.touches("container", box.name, box.labels)
            if not box.fate.heeds_term and box.live:
                # The others go on meanwhile; only ends are let happen, nobody is told of pulls here.
                self.world.now += min(grace, 0.5)
            self.world.end(box, 143 if box.fate.heeds_term else 137)

    def kill_container(self, container: str, signal: str) -> None:
        with self.faults.point("kill_container", container):
            self._answering()
            box = self.world.find(container)
            if box is not None:
                self.witness.touches("container", box.name, box.labels)
                self.world.end(box, 137 if signal == "SIGKILL" else 143)

    def unpause_container(self, container: str) -> None:
        with self.faults.point("unpause_container", container):
            self._answering()
            box = self.world.find(container)
            if box is not None:
                self.witness.touches("container", box.name, box.labels)
                self.world.unpause(box)

    def remove_container(self, container: str, *, force: bool = True) -> None:
        with self.faults.point("remove_container", container):
            self._answering()
            box = self.world.find(container)
            if box is not None:
                if box.live and not force:
                    raise Conflict(f"The container {box.name} is running.")
                self.witness.touches("container", box.name, box.labels)
                self.witness.removes(box)
                self.world.remove(box)

    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        with self.faults.point("exec", container):
            box = self._box(container)
            if not box.live:
                raise EngineError(f"{box.name} does not run.")
            return 0, " ".join(command).encode()

    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        with self.faults.point("logs", container):
            return Output(self._box(container).printed)

    # -- images and the rest

    def image_exists(self, image: str) -> bool:
        with self.faults.point("image_exists", image):
            self._answering()
            return image in self.world.images

    def bound_folder(self, mount: Mount) -> str | None:
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

    def _box(self, name: str) -> Box:
        self._answering()
        box = self.world.find(name)
        if box is None:
            raise NotFound(f"There is no container {name}.")
        return box


def _state(net: Net) -> NetworkState:
    return NetworkState(
        id=net.id, name=net.name, labels=dict(net.labels), subnet=net.subnet, gateway=net.gateway
    )


def _same_address(one: Box, other: Box) -> bool:
    here, there = one.spec, other.spec
    return bool(here.address) and (here.network, here.address) == (there.network, there.address)
