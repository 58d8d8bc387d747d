"""A bench: what one test makes on one engine, under names of its own, removed at its end.

Two sessions may test the same engine at once, so nothing here has a fixed name, and cleaning goes by a
label that only this bench uses.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from reconciler.engines.http.http_engine import HttpEngine
from reconciler.engines.protocol import ContainerState, Engine, EngineEvent, NetworkState
from reconciler.engines.specs import ContainerSpec, NetworkSpec, VolumeSpec
from reconciler.errors import EngineError

T = TypeVar("T")

LABEL = "reconciler-test/bench"
DEADLINE = 30.0


def eventually(look: Callable[[], T], *, seconds: float = DEADLINE, what: str = "") -> T:
    """What ``look`` returns, as soon as that is true; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what or look}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Abilities:
    """What an engine can do by its nature; tests of the rest are skipped on it, with the reason."""

    images: bool = True
    limits: bool = True
    namespaces: bool = True
    dns: bool = True
    pause: bool = True
    devices: bool = False
    rootless: bool = False


class Bench:
    """An engine, and what a test makes on it."""

    def __init__(self, engine: Engine, image: str, abilities: Abilities) -> None:
        self.engine = engine
        self.image = image
        self.can = abilities
        self.prefix = f"rt-{uuid.uuid4().hex[:10]}"
        self.labels: dict[str, str] = {LABEL: self.prefix}
        self._threads: list[threading.Thread] = []
        self._streams: list[Any] = []

    def name(self, suffix: str) -> str:
        """A name nobody else has."""
        return f"{self.prefix}-{suffix}"

    # --- making

    def network(self, suffix: str = "net", *, min_addresses: int = 1) -> NetworkState:
        """A network."""
        return self.engine.create_network(
            NetworkSpec(name=self.name(suffix), labels=self.labels, min_addresses=min_addresses)
        )

    def volume(self, suffix: str = "vol", *, tmpfs_size: int | None = None) -> str:
        """A volume's name."""
        name = self.name(suffix)
        self.engine.create_volume(VolumeSpec(name=name, labels=self.labels, tmpfs_size=tmpfs_size))
        return name

    def spec(self, suffix: str = "c", script: str | None = None, **fields: Any) -> ContainerSpec:
        """A container's specification: ``script`` is run by sh."""
        if script is not None:
            fields["entrypoint"] = ("sh", "-c", script)
        labels: Mapping[str, str] = {**self.labels, **fields.pop("labels", {})}
        return ContainerSpec(name=self.name(suffix), image=self.image, labels=labels, **fields)

    def create(self, suffix: str = "c", script: str | None = None, **fields: Any) -> str:
        """A created container's id."""
        return self.engine.create_container(self.spec(suffix, script, **fields))

    def start(self, suffix: str = "c", script: str | None = None, **fields: Any) -> str:
        """A started container's id."""
        container = self.create(suffix, script, **fields)
        self.engine.start_container(container)
        return container

    def run(self, script: str, suffix: str = "c", **fields: Any) -> str:
        """What a container prints until it ends, which must be with success."""
        container = self.start(suffix, script, **fields)
        ended = self.ended(container)
        output = self.output(container)
        assert ended.exit is not None
        assert ended.exit.code == 0, output
        return output

    # --- what others do to containers: the Protocol has no calls for it

    def kill(self, container: str) -> None:
        """Kill a running container, as a person does it."""
        self._signal(container, "kill", signal.SIGKILL)

    def pause(self, container: str) -> None:
        """Pause a running container."""

        def pause() -> bool:
            try:
                self._signal(container, "pause", signal.SIGSTOP)
            except EngineError as error:
                # A busy Docker lists a resumed container as running before it takes it for resumed itself.
                if "already paused" not in str(error):
                    raise
                return False
            return True

        eventually(pause, what=f"{container} is paused")

    def _signal(self, container: str, verb: str, number: int) -> None:
        if isinstance(self.engine, HttpEngine):
            self.engine._http.call("POST", f"/containers/{container}/{verb}", verb)
        else:
            folder, _ = self.engine._containers.find(container)  # type: ignore[attr-defined]
            os.killpg(json.loads((folder / "run.json").read_text())["main"], number)

    # --- looking

    def state(self, container: str) -> ContainerState:
        """As the listing has it."""
        found = {each.id: each for each in self.engine.list_containers(self.labels)}
        return found[container]

    def awaited(self, container: str, *states: str) -> ContainerState:
        """The container, once it is in one of the states."""

        def look() -> ContainerState | None:
            found = self.state(container)
            return found if found.state in states else None

        return eventually(look, what=f"{container} in state {states}")  # type: ignore[return-value]

    def ended(self, container: str) -> ContainerState:
        """The container, once it has ended."""
        return self.awaited(container, "exited")

    def output(self, container: str) -> str:
        """Everything it printed so far."""
        return b"".join(self.engine.logs(container, follow=False)).decode()

    def printed(self, container: str, text: str) -> str:
        """The output, once ``text`` is in it."""

        def look() -> str:
            output = self.output(container)
            return output if text in output else ""

        return eventually(look, what=f"{text!r} in the output")

    def following(self, container: str) -> Following:
        """A thread that follows the output."""
        stream = self.engine.logs(container, follow=True)
        following = Following(stream)
        self._streams.append(stream)
        self._threads.append(following.thread)
        return following

    @contextlib.contextmanager
    def events(self) -> Iterator[list[EngineEvent]]:
        """A list that grows as events of this bench come."""
        stream = self.engine.events()
        seen: list[EngineEvent] = []

        def collect() -> None:
            # One at a time: the test sees each as it comes.
            for event in stream:
                if event.name.startswith(self.prefix):
                    seen.append(event)  # noqa: PERF401

        thread = threading.Thread(target=collect, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            stream.close()
            thread.join(DEADLINE)
            assert not thread.is_alive(), "closing does not end the stream of events"

    # --- cleaning

    def clean(self) -> None:
        """Remove everything, as far as it can be; the first failure is raised at the end."""
        failures: list[EngineError] = []

        def attempt(call: Callable[[str], None], name: str) -> None:
            try:
                call(name)
            except EngineError as error:
                failures.append(error)

        for stream in self._streams:
            stream.close()
        for thread in self._threads:
            thread.join(DEADLINE)
        for container in self.engine.list_containers(self.labels):
            attempt(self.engine.remove_container, container.name)
        for network in self.engine.list_networks(self.labels):
            attempt(self.engine.remove_network, network.name)
        for volume in self.engine.list_volumes(self.labels):
            attempt(self.engine.remove_volume, volume.name)
        if failures:
            raise failures[0]


class Following:
    """Reads a log stream in a thread."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.pieces: list[bytes] = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        for piece in self.stream:
            self.pieces.append(piece)

    @property
    def text(self) -> str:
        """What came so far."""
        return b"".join(self.pieces).decode()

    def has(self, text: str) -> None:
        """Wait until ``text`` has come."""
        eventually(lambda: text in self.text, what=f"{text!r} in {self.text!r}")

    def ends(self) -> str:
        """All of the output, once the stream has ended by itself."""
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive(), f"the stream goes on after {self.text!r}"
        return self.text


def address(network: NetworkState, index: int = 0) -> str:
    """The ``index``-th address that a container may have."""
    hosts = (str(host) for host in ipaddress.IPv4Network(network.subnet).hosts())
    usable = [host for host, _ in zip(hosts, range(index + 2), strict=False) if host != network.gateway]
    return usable[index]
