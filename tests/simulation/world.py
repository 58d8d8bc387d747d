"""What outlives the daemon: containers, networks, volumes, images, and a clock that only this moves.

A container's end is decided when it starts (``behaviour``), so that a run without faults and one with them
train the same way, and the one can be the other's oracle.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from reconciler.engines.protocol import ContainerState, ContainerStateName, EngineEvent, ExitFacts
from reconciler.engines.specs import ContainerSpec
from reconciler.names import LABEL_INSTANCE
from reconciler.state.record import Timeline

START = 1_800_000_000.0
LIVE = frozenset({"running", "paused"})


@dataclass(frozen=True, kw_only=True)
class ContainerBehaviour:
    """What a started container will do.

    Attributes:
        duration: seconds of running time until it ends by itself.
        code: its exit status then.
        oom: the kernel kills it for memory.
        stops_on_term: ends on SIGTERM at once (with 143); else it takes KILL.
    """

    duration: float = 60.0
    code: int = 0
    oom: bool = False
    stops_on_term: bool = True


@dataclass
class SimulatedContainer:
    """A container.

    Attributes:
        copied: somebody's copy, by commit or clone, with the labels of the original.
        astray: renamed before its id was on disk: the daemon may or may not know it for its own.
    """

    id: str
    name: str
    spec: ContainerSpec
    created_at: float
    labels: Mapping[str, str]
    state: ContainerStateName = "created"
    exit: ExitFacts | None = None
    started_at: float | None = None
    behaviour: ContainerBehaviour = field(default_factory=ContainerBehaviour)
    ends_at: float | None = None
    left: float = 0.0
    printed: bytes = b""
    copied: bool = False
    astray: bool = False

    @property
    def live(self) -> bool:
        """Has a process."""
        return self.state in LIVE

    def view(self) -> ContainerState:
        """As an engine lists it."""
        return ContainerState(
            id=self.id,
            name=self.name,
            labels=dict(self.labels),
            state=self.state,
            exit=self.exit,
            address=self.spec.address if self.live else "",
            created_at=self.created_at,
            started_at=self.started_at,
        )


@dataclass
class SimulatedNetwork:
    """A network."""

    id: str
    name: str
    labels: Mapping[str, str]
    subnet: str
    gateway: str


@dataclass
class World:
    """Everything there is, apart from the disk.

    Attributes:
        events: told by the engine and not yet heard by the daemon.
        now: true time; containers end by it.
        pulls: images being pulled, with the time they will be there.
        kept: logs on disk: container id to bytes, by place.
    """

    behaviour: Callable[[SimulatedContainer], ContainerBehaviour] = lambda _container: ContainerBehaviour()
    now: float = START
    containers: dict[str, SimulatedContainer] = field(default_factory=dict)
    networks: dict[str, SimulatedNetwork] = field(default_factory=dict)
    volumes: dict[str, dict[str, str]] = field(default_factory=dict)
    images: set[str] = field(default_factory=set)
    registry: set[str] = field(default_factory=set)
    devices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    events: list[EngineEvent] = field(default_factory=list)
    pulls: dict[str, float] = field(default_factory=dict)
    kept: dict[tuple[str, str, int, str], dict[str, bytes]] = field(default_factory=dict)
    up: bool = True
    skew: float = 0.0
    boots: int = 0
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def timeline(self) -> Timeline:
        """How far the host's clock is ahead of the time since its start."""
        return Timeline(boot=str(self.boots), ahead=START + self.skew)

    def now_on(self, timeline: Timeline) -> float:
        """The time as it would be had nobody set the clock since."""
        return timeline.ahead + self.now - START

    def __call__(self) -> float:
        """As :meth:`clock`: the world is its own clock."""
        return self.clock()

    def clock(self) -> float:
        """The host's clock, as everything on it reads it; ``skew`` is by how much somebody has set it off."""
        return self.now + self.skew

    # -- finding

    def find(self, name: str) -> SimulatedContainer | None:
        """By name or id."""
        return self.containers.get(name) or next(
            (b for b in self.containers.values() if b.name == name), None
        )

    def carrying(self, labels: Mapping[str, str]) -> list[SimulatedContainer]:
        """Containers that carry all the labels."""
        return [b for b in self.containers.values() if all(b.labels.get(k) == v for k, v in labels.items())]

    # -- what happens

    def start(self, container: SimulatedContainer) -> None:
        """It runs from now on."""
        container.state = "running"
        container.exit = None
        container.started_at = self.clock()
        container.behaviour = self.behaviour(container)
        container.ends_at = self.now + container.behaviour.duration
        container.printed += f"{container.name} started\n".encode()
        self.tell("container", "start", container.name, container.labels)

    def end(self, container: SimulatedContainer, code: int | None, *, oom: bool = False) -> None:
        """It has ended."""
        if not container.live:
            return
        container.printed += f"{container.name} ends with {code}\n".encode()
        container.state = "exited"
        container.ends_at = None
        container.exit = ExitFacts(code=code, oom_killed=oom, finished_at=self.clock())
        if oom:
            self.tell("container", "oom", container.name, container.labels)
        self.tell("container", "die", container.name, container.labels)

    def pause(self, container: SimulatedContainer) -> None:
        """Frozen: its remaining time does not pass."""
        if container.state == "running" and container.ends_at is not None:
            container.state, container.left, container.ends_at = "paused", container.ends_at - self.now, None
            self.tell("container", "pause", container.name, container.labels)

    def unpause(self, container: SimulatedContainer) -> None:
        """It goes on."""
        if container.state == "paused":
            container.state, container.ends_at = "running", self.now + container.left
            self.tell("container", "unpause", container.name, container.labels)

    def remove(self, container: SimulatedContainer) -> None:
        """Gone, running or not."""
        self.end(container, 137)
        self.containers.pop(container.id, None)
        self.tell("container", "remove", container.name, container.labels)

    def remove_network(self, name: str) -> None:
        """Gone; what was on it runs on without."""
        network = self.networks.pop(name, None)
        if network is not None:
            self.tell("network", "remove", name, network.labels)

    def reboot(self) -> None:
        """The host went down and came up: everything that ran has ended, events are lost."""
        for container in list(self.containers.values()):
            if container.live:
                container.state = "exited"
                container.ends_at = None
                container.exit = ExitFacts(code=137, finished_at=self.clock())
        self.boots += 1
        self.events.clear()
        self.pulls.clear()

    def tell(self, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
        """An event, for whoever listens."""
        if LABEL_INSTANCE in labels:
            self.events.append(EngineEvent(kind=kind, action=action, name=name, labels=dict(labels)))

    # -- time

    def next_end(self) -> float | None:
        """When the next container ends or the next pull is through."""
        ends = [b.ends_at for b in self.containers.values() if b.ends_at is not None]
        return min([*ends, *self.pulls.values()], default=None)

    def advance(self, until: float) -> list[str]:
        """Let time pass; returns the images whose pull is through."""
        pulled: list[str] = []
        while (due := self.next_end()) is not None and due <= until:
            self.now = max(self.now, due)
            for container in list(self.containers.values()):
                if container.ends_at is not None and container.ends_at <= self.now:
                    self.end(
                        container,
                        137 if container.behaviour.oom else container.behaviour.code,
                        oom=container.behaviour.oom,
                    )
            for image in [i for i, at in self.pulls.items() if at <= self.now]:
                del self.pulls[image]
                pulled.append(image)
        self.now = max(self.now, until)
        return pulled
