"""What outlives the daemon: containers, networks, volumes, images, and a clock that only this moves.

A container's end is decided when it starts (``fate``), so that a run without faults and one with them train
the same way, and the one can be the other's oracle.
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
class Fate:
    """What a started container will do.

    Attributes:
        lasts: seconds of running time until it ends by itself.
        code: its exit status then.
        oom: the kernel kills it for memory.
        heeds_term: ends on SIGTERM at once (with 143); else it takes KILL.
    """

    lasts: float = 60.0
    code: int = 0
    oom: bool = False
    heeds_term: bool = True


@dataclass
class Box:
    """A container."""

    id: str
    name: str
    spec: ContainerSpec
    created_at: float
    labels: Mapping[str, str]
    state: ContainerStateName = "created"
    exit: ExitFacts | None = None
    started_at: float | None = None
    fate: Fate = field(default_factory=Fate)
    ends_at: float | None = None
    left: float = 0.0
    printed: bytes = b""

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
            image=self.spec.image,
            state=self.state,
            exit=self.exit,
            address=self.spec.address if self.live else "",
            created_at=self.created_at,
            started_at=self.started_at,
        )


@dataclass
class Net:
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

    fate: Callable[[Box], Fate] = lambda _box: Fate()
    now: float = START
    boxes: dict[str, Box] = field(default_factory=dict)
    networks: dict[str, Net] = field(default_factory=dict)
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

    def on(self, timeline: Timeline) -> float:
        """The time as it would be had nobody set the clock since."""
        return timeline.ahead + self.now - START

    def __call__(self) -> float:
        """As :meth:`clock`: the world is its own clock."""
        return self.clock()

    def clock(self) -> float:
        """The host's clock, as everything on it reads it; ``skew`` is by how much somebody has set it off."""
        return self.now + self.skew

    # -- finding

    def find(self, name: str) -> Box | None:
        """By name or id."""
        return self.boxes.get(name) or next((b for b in self.boxes.values() if b.name == name), None)

    def carrying(self, labels: Mapping[str, str]) -> list[Box]:
        """Containers that carry all the labels."""
        return [b for b in self.boxes.values() if all(b.labels.get(k) == v for k, v in labels.items())]

    # -- what happens

    def start(self, box: Box) -> None:
        """It runs from now on."""
        box.state = "running"
        box.exit = None
        box.started_at = self.clock()
        box.fate = self.fate(box)
        box.ends_at = self.now + box.fate.lasts
        box.printed += f"{box.name} started\n".encode()
        self.tell("container", "start", box.name, box.labels)

    def end(self, box: Box, code: int | None, *, oom: bool = False) -> None:
        """It has ended."""
        if not box.live:
            return
        box.printed += f"{box.name} ends with {code}\n".encode()
        box.state = "exited"
        box.ends_at = None
        box.exit = ExitFacts(code=code, oom_killed=oom, finished_at=self.clock())
        if oom:
            self.tell("container", "oom", box.name, box.labels)
        self.tell("container", "die", box.name, box.labels)

    def pause(self, box: Box) -> None:
        """Frozen: its remaining time does not pass."""
        if box.state == "running" and box.ends_at is not None:
            box.state, box.left, box.ends_at = "paused", box.ends_at - self.now, None
            self.tell("container", "pause", box.name, box.labels)

    def unpause(self, box: Box) -> None:
        """It goes on."""
        if box.state == "paused":
            box.state, box.ends_at = "running", self.now + box.left
            self.tell("container", "unpause", box.name, box.labels)

    def remove(self, box: Box) -> None:
        """Gone, running or not."""
        self.end(box, 137)
        self.boxes.pop(box.id, None)
        self.tell("container", "remove", box.name, box.labels)

    def remove_network(self, name: str) -> None:
        """Gone; what was on it runs on without."""
        net = self.networks.pop(name, None)
        if net is not None:
            self.tell("network", "remove", name, net.labels)

    def reboot(self) -> None:
        """The host went down and came up: everything that ran has ended, events are lost."""
        for box in list(self.boxes.values()):
            if box.live:
                box.state = "exited"
                box.ends_at = None
                box.exit = ExitFacts(code=137, finished_at=self.clock())
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
        ends = [b.ends_at for b in self.boxes.values() if b.ends_at is not None]
        return min([*ends, *self.pulls.values()], default=None)

    def advance(self, until: float) -> list[str]:
        """Let time pass; returns the images whose pull is through."""
        pulled: list[str] = []
        while (due := self.next_end()) is not None and due <= until:
            self.now = max(self.now, due)
            for box in list(self.boxes.values()):
                if box.ends_at is not None and box.ends_at <= self.now:
                    self.end(box, 137 if box.fate.oom else box.fate.code, oom=box.fate.oom)
            for image in [i for i, at in self.pulls.items() if at <= self.now]:
                del self.pulls[image]
                pulled.append(image)
        self.now = max(self.now, until)
        return pulled
