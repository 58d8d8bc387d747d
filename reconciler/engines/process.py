"""Containers as plain processes of this machine: for laptops and machines without Podman or Docker.

Each container is a process group under a small supervisor that outlives the daemon; each has a loopback
address, a working directory, an environment and a log file of its own. There are no images, and a container
sees the machine's own programs and files: it is kept from others' ports and volumes, not locked in.

All state is in files (``processes.folders``), written atomically, so a daemon may die at any point. Where the
kernel allows it, volumes are mounted at their paths (``processes.isolating``); elsewhere paths are
rewritten. What cannot be kept of a specification, :meth:`ProcessEngine.limitations` says.
"""

from __future__ import annotations

import functools
import os
import platform
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from reconciler.engines.base import (
    ContainerSpec,
    ContainerState,
    EngineInfo,
    EventStream,
    LogStream,
    NetworkSpec,
    NetworkState,
    PullProgress,
    RegistryAuth,
    VolumeSpec,
    VolumeState,
)
from reconciler.engines.processes import (
    addressing,
    hosting,
    identities,
    limiting,
    records,
    starting,
    translating,
    watching,
)
from reconciler.engines.processes.announcing import announce
from reconciler.engines.processes.folders import Folders
from reconciler.engines.processes.following import Events, FileLog
from reconciler.engines.processes.rewriting import Rewriter
from reconciler.errors import Conflict, EngineError, EngineUnavailable, NotFound, StartFailed

P = ParamSpec("P")
R = TypeVar("R")
Json = dict[str, Any]

#: Seconds that killed processes get to be gone.
_PATIENCE: Final = 15.0
#: Signals that a person means for everything in a container; others go to its command alone.
_FOR_ALL: Final = frozenset(
    {signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP, signal.SIGCONT}
)
_INVENTORY_AGE: Final = 60.0
_MEMORY: Final = Path("/dev/shm")  # noqa: S108  (the system's own place for files in memory)


def default_state_dir() -> Path:
    """``$XDG_STATE_HOME/reconciler/process``."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "reconciler" / "process"


def _told(method: Callable[Concatenate[ProcessEngine, P], R]) -> Callable[Concatenate[ProcessEngine, P], R]:
    """Turn what the file system says into this project's errors."""

    @functools.wraps(method)
    def call(self: ProcessEngine, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except OSError as error:
            raise EngineError(
                f"The process engine failed: {error}.", remedy=f"Its state is in {self.root}."
            ) from error
        except ValueError as error:
            raise EngineError(f"The process engine's state in {self.root} is damaged: {error}.") from error

    return call


class ProcessEngine:
    """An engine without images: see the module.

    Args:
        state_dir: where everything is kept; None is ``$XDG_STATE_HOME/reconciler/process``.
        views: whether containers get a view of the file system of their own; None asks the kernel.
        many_addresses: whether each container gets its own loopback address; None asks the kernel.
        now: seconds since the epoch.
        new_id: a new unique id, of hexadecimal digits.

    Raises:
        EngineUnavailable: the state folder cannot be used.
    """

    name = "process"

    def __init__(
        self,
        state_dir: Path | None = None,
        *,
        views: bool | None = None,
        many_addresses: bool | None = None,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: secrets.token_hex(32),
    ) -> None:
        self.root = (state_dir or default_state_dir()).absolute()
        try:
            self._folders = Folders(self.root)
        except OSError as error:
            raise EngineUnavailable(
                f"The process engine cannot keep its state in {self.root}: {error.strerror}.",
                remedy="Make it writable, or set XDG_STATE_HOME.",
            ) from error
        self._views = views
        self._many_addresses = addressing.many_addresses() if many_addresses is None else many_addresses
        self._now = now
        self._new_id = new_id
        self._lock = threading.Lock()
        self._prepared = False
        self._inventory: tuple[float, Mapping[str, tuple[str, ...]]] | None = None
        self._streams: list[Events] = []

    # The engine

    @_told
    def info(self) -> EngineInfo:
        """The machine: its version is Python's."""
        return EngineInfo(
            name=self.name,
            version=platform.python_version(),
            rootless=os.geteuid() != 0,
            cpus=hosting.cpus(),
            memory=hosting.memory(),
            details={
                "state": str(self.root),
                "python": sys.executable,
                "volumes": "mounted" if self._isolated else "paths rewritten",
                "limits": ", ".join(self._limits) or "not enforced",
                "addresses": "127.0.0.0/8" if self._many_addresses else addressing.LOCALHOST,
            },
        )

    @property
    def _isolated(self) -> bool:
        """Whether containers get their own view; asked of the kernel once."""
        with self._lock:
            if self._views is None:
                self._views = starting.probe_views(self.root) == ""
            return self._views

    @functools.cached_property
    def _limits(self) -> dict[str, str]:
        """Where control groups can be made; asked of the kernel once."""
        return limiting.offers()

    def limitations(self, spec: ContainerSpec) -> list[str]:
        """What this engine does not keep of a specification, each in a sentence."""
        return translating.limitations(spec, isolated=self._isolated, limits=self._limits)

    def image_exists(self, image: str) -> bool:  # noqa: ARG002  (the Protocol's)
        """Always: no image is used."""
        return True

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Nothing to do: no image is used."""

    @_told
    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """GPUs by class and index, as ``nvidia-smi`` counts them; asked once a minute."""
        with self._lock:
            if self._inventory is None or time.monotonic() - self._inventory[0] > _INVENTORY_AGE:
                self._inventory = (time.monotonic(), hosting.devices())
            return self._inventory[1]

    def close(self) -> None:
        """End the event streams; containers go on."""
        with self._lock:
            streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()

    def _announce(self, kind: str, action: str, name: str, labels: Mapping[str, str]) -> None:
        announce(str(self._folders.listeners), kind=kind, action=action, name=name, labels=labels)

    # Networks and volumes

    @_told
    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """All networks with the labels."""
        return [_network_state(r) for r in self._folders.all_networks() if _carries(r["labels"], labels)]

    @_told
    def inspect_network(self, name: str) -> NetworkState:
        """One network.

        Raises:
            NotFound: there is none.
        """
        return _network_state(self._network(name))

    def _network(self, name: str) -> Json:
        record = self._folders.network(name)
        if record is None:
            raise NotFound(f"There is no network named {name}.")
        return record

    @_told
    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Take a loopback subnet, and a port for rendezvous.

        Raises:
            Conflict: the name is taken.
        """
        with self._folders.locked():
            others = self._folders.all_networks()
            if any(other["name"] == spec.name for other in others):
                raise Conflict(f"A network named {spec.name} exists already.")
            subnet = addressing.choose_subnet(
                (other["subnet"] for other in others), addresses=spec.min_addresses, seed=str(self.root)
            )
            record = {
                "id": self._new_id(),
                "name": spec.name,
                "labels": dict(spec.labels),
                "subnet": subnet,
                "gateway": addressing.gateway_of(subnet),
                "port": addressing.choose_port(other["port"] for other in others),
            }
            self._folders.add_network(record)
        self._announce("network", "create", spec.name, spec.labels)
        return _network_state(record)

    @_told
    def remove_network(self, name: str) -> None:
        """Free a network's subnet and port.

        Raises:
            EngineError: containers are on it.
        """
        record = self._folders.network(name)
        if record is None:
            return
        users = [spec["name"] for _, spec in self._all() if spec["network"] == name]
        if users:
            raise EngineError(
                f"Network {name} is used by {', '.join(sorted(users))}.", remedy="Remove them first."
            )
        self._folders.drop_network(name)
        self._announce("network", "remove", name, record["labels"])

    @_told
    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """All volumes with the labels."""
        return [
            VolumeState(name=r["name"], labels=r["labels"])
            for r in self._folders.all_volumes()
            if _carries(r["labels"], labels)
        ]

    @_told
    def create_volume(self, spec: VolumeSpec) -> None:
        """Make a folder, in memory where ``tmpfs_size`` asks for it and the machine can.

        Raises:
            Conflict: the name is taken by a volume with other labels.
        """
        memory = None
        if spec.tmpfs_size is not None and os.access(_MEMORY, os.W_OK):
            memory = _MEMORY / f"reconciler-{self._new_id()[:16]}"
        try:
            self._folders.add_volume(spec.name, spec.labels, memory=memory)
        except Conflict:
            existing = self._folders.volume(spec.name)
            if existing is None or existing["labels"] != dict(spec.labels):
                raise

    @_told
    def remove_volume(self, name: str) -> None:
        """Remove a volume and its content.

        Raises:
            EngineError: containers mount it.
        """
        record = self._folders.volume(name)
        if record is None:
            return
        users = [spec["name"] for _, spec in self._all() if name in spec["volumes"]]
        if users:
            raise EngineError(
                f"Volume {name} is used by {', '.join(sorted(users))}.", remedy="Remove them first."
            )
        self._folders.drop_volume(record)

    def _volume_data(self, name: str) -> Path:
        data = self._folders.volume_data(name)
        if data is None:
            raise NotFound(f"There is no volume named {name}.")
        return data

    # Containers

    def _all(self) -> Iterator[tuple[Path, Json]]:
        for name in self._folders.container_names():
            home = self._folders.containers / name
            spec = self._folders.spec(home)
            if spec is not None:
                yield home, spec

    def _state(self, home: Path, spec: Json) -> ContainerState | None:
        """Its state; None if it was removed while being looked at."""
        state = watching.observe(home, spec, listeners=self._folders.listeners)
        again = self._folders.spec(home)
        return state if again is not None and again["id"] == spec["id"] else None

    @_told
    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """All containers with the labels, running or not."""
        found = (self._state(home, spec) for home, spec in self._all() if _carries(spec["labels"], labels))
        return [state for state in found if state is not None]

    @_told
    def inspect_container(self, name: str) -> ContainerState:
        """One container by name or id.

        Raises:
            NotFound: there is none.
        """
        state = self._state(*self._find(name))
        if state is None:
            raise NotFound(f"There is no container {name}.")
        return state

    def _find(self, container: str) -> tuple[Path, Json]:
        found = self._folders.find(container)
        if found is None:
            raise NotFound(f"There is no container {container}.")
        return found

    @_told
    def create_container(self, spec: ContainerSpec) -> str:
        """Make a container's folder with all that starting it takes.

        Raises:
            Conflict: the name is taken.
            NotFound: the network, a volume, or the container whose network is shared is missing.
            StartFailed: it can never start: no command, no such device, folder or user.
        """
        container_id = self._new_id()
        with self._folders.locked():
            self._prepare()
            self._folders.add_container(
                spec.name, lambda home, build: self._make(spec, home, build, container_id=container_id)
            )
        self._announce("container", "create", spec.name, spec.labels)
        return container_id

    def _prepare(self) -> None:
        if not self._prepared:
            hosting.write_shims(self._folders.shims)
            self._prepared = True

    def _make(self, spec: ContainerSpec, home: Path, build: Path, *, container_id: str) -> Json:
        """Everything the container's folder holds; returns its specification."""
        owner = self._find(spec.share_network_with)[1] if spec.share_network_with else None
        network_name = owner["network"] if owner else spec.network
        network = self._network(network_name) if network_name else None
        address = owner["address"] if owner else self._address(spec, network)
        place = translating.Place(
            id=container_id,
            home=home,
            build=build,
            shims=self._folders.shims,
            volume=self._volume_data,
            isolated=self._isolated,
            address=address,
            hostname=owner["hostname"] if owner else "" if spec.host_network else spec.hostname,
            network=network_name,
            port=network["port"] if network else None,
            subnet=network["subnet"] if network and not self._many_addresses else "",
            inventory=self.devices(),
            limits=self._limits,
        )
        launch, rewriter = translating.translate(spec, place)
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

    def _address(self, spec: ContainerSpec, network: Json | None) -> str:
        if network is None:
            return ""
        if not spec.address:
            taken = (other["address"] for _, other in self._all() if other["network"] == network["name"])
            return addressing.choose_address(network["subnet"], taken)
        if not addressing.usable(network["subnet"], spec.address):
            raise StartFailed(
                f"{spec.address} is no address that {network['subnet']} ({network['name']}) can give."
            )
        return spec.address

    @_told
    def start_container(self, container: str) -> None:
        """Start the command under a supervisor of its own; one that runs is no error.

        Raises:
            StartFailed: no such command or folder, or the address is in use; it is left as created.
            NotFound: it is gone.
        """
        home, spec = self._find(container)
        with self._folders.locked(home):
            if watching.running(home) is not None:
                return
            self._check_address(spec)
            if self.inspect_container(spec["id"]).state == "exited":
                records.remove(str(home / records.RUN))
                records.remove(str(home / records.EXIT))
            answer = starting.start(home)
        if "error" in answer:
            raise StartFailed(
                f"{spec['name']} could not be started: {answer['error']}", remedy=answer.get("remedy", "")
            )

    def _check_address(self, spec: Json) -> None:
        if not spec["address"] or spec["shared"]:
            return
        for home, other in self._all():
            same = (other["network"], other["address"]) == (spec["network"], spec["address"])
            if (
                same
                and not other["shared"]
                and other["id"] != spec["id"]
                and watching.running(home) is not None
            ):
                raise StartFailed(
                    f"The address {spec['address']} of {spec['name']} is in use by {other['name']}."
                )

    @_told
    def stop_container(self, container: str, grace: float) -> None:
        """TERM to all its processes, KILL after ``grace`` seconds."""
        self._end(container, grace)

    def _end(self, container: str, grace: float) -> None:
        found = self._folders.find(container)
        if found is None:
            return
        home, spec = found
        if not watching.end(home, spec, grace=grace, patience=_PATIENCE):
            raise EngineError(f"{spec['name']} did not end when killed: a process hangs in the kernel.")
        self._state(home, spec)  # writes the end of one whose supervisor had to be killed

    @_told
    def kill_container(self, container: str, signal: str) -> None:
        """Send a signal; those that end or stop go to all its processes.

        Raises:
            EngineError: there is no such signal.
        """
        try:
            number = identities.signal_number(signal)
        except ValueError:
            raise EngineError(f"There is no signal {signal!r}.") from None
        found = self._folders.find(container)
        run = watching.running(found[0]) if found else None
        if run is not None:
            watching.send(run, number, group=number in _FOR_ALL)

    @_told
    def pause_container(self, container: str) -> None:
        """Stop all its processes until :meth:`unpause_container`."""
        self._toggle(container, signal.SIGSTOP, "pause", unless=True)

    @_told
    def unpause_container(self, container: str) -> None:
        """Let a paused container go on."""
        self._toggle(container, signal.SIGCONT, "unpause", unless=False)

    def _toggle(self, container: str, number: int, action: str, *, unless: bool) -> None:
        found = self._folders.find(container)
        run = watching.running(found[0]) if found else None
        if found is None or run is None:
            return
        before = identities.stopped(run["main"])
        watching.send(run, number, group=True)
        if before is not unless:
            self._announce("container", action, found[1]["name"], found[1]["labels"])

    @_told
    def remove_container(self, container: str) -> None:
        """Kill it and remove its folder, log and working directory too."""
        found = self._folders.find(container)
        if found is None:
            return
        home, spec = found
        self._end(container, 0)
        watching.kill_leftovers(None, spec["id"])
        limiting.remove(spec["launch"]["groups"])
        self._folders.drop_container(home)
        self._announce("container", "remove", spec["name"], spec["labels"])

    @_told
    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        """Run a command with the container's environment, folder and view of the file system.

        Raises:
            NotFound: the container is gone.
            EngineError: it does not run, or the command took longer than ``timeout`` seconds.
        """
        home, spec = self._find(container)
        if watching.running(home) is None:
            raise EngineError(f"{spec['name']} is not running, so {command[0]!r} cannot be run in it.")
        rewriter = Rewriter(**spec["rewrite"])
        return starting.execute(home, tuple(rewriter.arguments(command)), timeout=timeout)

    @_told
    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        """The container's output; a follower ends with the container.

        Raises:
            NotFound: it is gone.
        """
        home, spec = self._find(container)

        def ended() -> bool:
            state = self._state(home, spec)
            return state is None or state.state == "exited"

        try:
            return FileLog(home / records.LOG, follow=follow, tail=tail, ended=ended)
        except FileNotFoundError:
            raise NotFound(f"There is no container {container}.") from None

    @_told
    def events(self) -> EventStream:
        """Events of all containers and networks from now on."""

        def labels_of(name: str) -> Mapping[str, str]:
            found = self._folders.find(name)
            return found[1]["labels"] if found else {}

        stream = Events(self._folders.listeners, key=self._new_id()[:16], labels_of=labels_of)
        with self._lock:
            self._streams.append(stream)
        return stream


def _carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())


def _network_state(record: Json) -> NetworkState:
    return NetworkState(
        id=record["id"],
        name=record["name"],
        labels=record["labels"],
        subnet=record["subnet"],
        gateway=record["gateway"],
        port=record["port"],
    )
