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
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from reconciler.common.liveness import allow
from reconciler.engines.http.verification import raise_if_unspeakable
from reconciler.engines.process import (
    command_translation,
    host_facts,
    loopback_addresses,
    process_status,
    supervisor_launch,
)
from reconciler.engines.process.creation import Creator
from reconciler.engines.process.lifecycle import Lives
from reconciler.engines.process.loopback_networks import Networks
from reconciler.engines.process.path_rewriting import Rewriter
from reconciler.engines.process.port_reservations import Reservations, default_folder
from reconciler.engines.process.process_streams import Events, FileLog
from reconciler.engines.process.process_volumes import Volumes
from reconciler.engines.process.state_folder import Folders, carries
from reconciler.engines.process.supervisor import cgroup_limits, json_files
from reconciler.engines.protocol import (
    ContainerState,
    EngineInfo,
    EventStream,
    LogStream,
    NetworkState,
    PullProgress,
    RegistryAuth,
    VolumeState,
)
from reconciler.engines.specs import ContainerSpec, Mount, NetworkSpec, VolumeSpec
from reconciler.errors import EngineError, EngineUnavailable, NotFound

P = ParamSpec("P")
R = TypeVar("R")

_INVENTORY_AGE: Final = 60.0


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
        self._networks = Networks(self._folders, Reservations(default_folder()))
        self._volumes = Volumes(self._folders)
        self._lives = Lives(self._folders)
        self._views = views
        self._many_addresses = (
            loopback_addresses.many_addresses() if many_addresses is None else many_addresses
        )
        self._now = now
        self._new_id = new_id
        self._lock = threading.Lock()
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
            cpus=host_facts.cpus(),
            memory=host_facts.memory(),
            details={
                "state": str(self.root),
                "python": sys.executable,
                "volumes": "mounted" if self._isolated else "paths rewritten",
                "limits": ", ".join(self._limits) or "not enforced",
                "addresses": "127.0.0.0/8" if self._many_addresses else loopback_addresses.LOCALHOST,
            },
        )

    @property
    def _isolated(self) -> bool:
        """Whether containers get their own view; asked of the kernel once."""
        with self._lock:
            if self._views is None:
                self._views = supervisor_launch.probe_views(self.root) == ""
            return self._views

    @functools.cached_property
    def _limits(self) -> dict[str, str]:
        """Where control groups can be made; asked of the kernel once."""
        return cgroup_limits.offers()

    def limitations(self, spec: ContainerSpec) -> list[str]:
        """What this engine does not keep of a specification, each in a sentence."""
        return command_translation.limitations(
            spec,
            home=self._folders.containers / spec.name,
            isolated=self._isolated,
            limits=self._limits,
        )

    def image_exists(self, image: str) -> bool:  # noqa: ARG002  (the Protocol's)
        """Always: no image is used."""
        return True

    def bound_folder(self, mount: Mount) -> str | None:  # noqa: ARG002  (the Protocol's)
        """None: what a process may reach is its user's anyway."""
        return None

    def image_user(self, image: str) -> str | None:  # noqa: ARG002  (the Protocol's)
        """No image is used: this process's user."""
        return str(os.geteuid())

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Nothing to do: no image is used."""

    @_told
    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """GPUs by class and index, as ``nvidia-smi`` counts them; asked once a minute."""
        with self._lock:
            if self._inventory is None or time.monotonic() - self._inventory[0] > _INVENTORY_AGE:
                self._inventory = (time.monotonic(), host_facts.devices())
            return self._inventory[1]

    def close(self) -> None:
        """End the event streams; containers go on."""
        with self._lock:
            streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()

    # Networks and volumes

    @_told
    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """All networks with the labels."""
        return [state for state in self._networks.all() if carries(state.labels, labels)]

    @_told
    def inspect_network(self, name: str) -> NetworkState:
        """One network.

        Raises:
            NotFound: there is none.
        """
        return self._networks.inspect(name)

    @_told
    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Take a loopback subnet, and a port for rendezvous.

        Raises:
            Conflict: the name is taken.
        """
        state = self._networks.create(spec, self._new_id())
        self._folders.announce("network", "create", spec.name, spec.labels)
        return state

    @_told
    def remove_network(self, name: str) -> None:
        """Free a network's subnet and port.

        Raises:
            EngineError: containers are on it.
        """
        removed = self._networks.remove(name)
        if removed is not None:
            self._folders.announce("network", "remove", name, removed.labels)

    @_told
    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """All volumes with the labels."""
        return [state for state in self._volumes.all() if carries(state.labels, labels)]

    @_told
    def create_volume(self, spec: VolumeSpec) -> None:
        """Make a folder, in memory where ``tmpfs_size`` asks for it and the machine can.

        Raises:
            Conflict: the name is taken by a volume with other labels.
        """
        self._volumes.create(spec, self._new_id())

    @_told
    def remove_volume(self, name: str) -> None:
        """Remove a volume and its content.

        Raises:
            EngineError: containers mount it.
        """
        self._volumes.remove(name)

    # Containers

    @_told
    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """All containers with the labels, running or not."""
        found = (
            self._lives.state(home, spec)
            for home, spec in self._folders.all_containers()
            if carries(spec["labels"], labels)
        )
        return [state for state in found if state is not None]

    @_told
    def inspect_container(self, name: str) -> ContainerState:
        """One container by name or id.

        Raises:
            NotFound: there is none.
        """
        return self._lives.inspect(name)

    @_told
    def create_container(self, spec: ContainerSpec) -> str:
        """Make a container's folder with all that starting it takes.

        Raises:
            Conflict: the name is taken.
            NotFound: the network, a volume, or the container whose network is shared is missing.
            StartFailed: it can never start: no command, no such device, folder or user.
        """
        raise_if_unspeakable(spec, raw=True)
        container_id = self._new_id()
        inventory = self.devices()
        with self._folders.locked():
            self._creator.create(spec, container_id, inventory=inventory)
        self._folders.announce("container", "create", spec.name, spec.labels)
        return container_id

    @functools.cached_property
    def _creator(self) -> Creator:
        host_facts.write_shims(self._folders.shims)
        return Creator(
            self._folders,
            isolated=self._isolated,
            many_addresses=self._many_addresses,
            limits=self._limits,
            now=self._now,
        )

    @_told
    def start_container(self, container: str) -> None:
        """Start the command under a supervisor of its own; one that runs is no error.

        Raises:
            StartFailed: no such command or folder, or the address is in use; it is left as created.
            NotFound: it is gone.
        """
        self._lives.start(container)

    @_told
    def stop_container(self, container: str, grace: float) -> None:
        """TERM to all its processes, KILL after ``grace`` seconds."""
        self._lives.end(container, grace)

    @_told
    def kill_container(self, container: str, signal: str) -> None:
        """Send a signal; those that end or stop go to all its processes.

        Raises:
            EngineError: there is no such signal.
        """
        self._lives.send(container, signal)

    @_told
    def unpause_container(self, container: str) -> None:
        """Let a paused container go on."""
        self._lives.unpause(container)

    @_told
    def remove_container(self, container: str, *, force: bool = True) -> None:
        """Kill it and remove its folder, log and working directory too.

        Raises:
            Conflict: it runs, and is not to be ended by ``force``.
        """
        self._lives.remove(container, force=force)

    @_told
    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        """Run a command with the container's environment, folder and view of the file system.

        Raises:
            NotFound: the container is gone.
            EngineError: it does not run, or the command took longer than ``timeout`` seconds.
        """
        home, spec = self._lives.find(container)
        if process_status.running(home) is None:
            raise EngineError(f"{spec['name']} is not running, so {command[0]!r} cannot be run in it.")
        rewriter = Rewriter(**spec["rewrite"])
        with allow(timeout, f"running {command[0]} in {spec['name']}"):
            return supervisor_launch.execute(home, tuple(rewriter.arguments(command)), timeout=timeout)

    @_told
    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        """The container's output; a follower ends with the container.

        Raises:
            NotFound: it is gone.
        """
        home, spec = self._lives.find(container)

        def ended() -> bool:
            state = self._lives.state(home, spec)
            return state is None or state.state == "exited"

        try:
            return FileLog(home / json_files.LOG, follow=follow, tail=tail, ended=ended)
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
