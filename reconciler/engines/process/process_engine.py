"""Containers as plain processes of this machine: for laptops and machines without Podman or Docker.

Each container is a process group under a small supervisor that outlives the daemon; each has a loopback
address, a working directory, an environment and a log file of its own. There are no images, and a container
sees the machine's own programs and files: it is separated from others' ports and volumes, not confined.

All state is in files (:mod:`state_folder`), written atomically, so that a daemon may die at any point. Where
the kernel allows it, volumes are mounted at their paths (:mod:`supervisor.mount_namespace`); elsewhere paths
are rewritten. :meth:`ProcessEngine.limitations` lists what has no effect of a specification.
"""

from __future__ import annotations

import functools
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from reconciler.common.liveness import allow_time
from reconciler.common.xdg_folders import xdg_folder
from reconciler.engines.host.followed_logs import require_room_to_follow
from reconciler.engines.process import host_facts, process_status, supervisor_launch
from reconciler.engines.process.container_creator import create_container
from reconciler.engines.process.lifecycle import ContainerLifecycle
from reconciler.engines.process.limitations import list_limitations
from reconciler.engines.process.networks import loopback_addresses
from reconciler.engines.process.networks.loopback_networks import LoopbackNetworks
from reconciler.engines.process.networks.port_reservations import PortReservations, default_folder
from reconciler.engines.process.process_exec import ProcessExecSession
from reconciler.engines.process.process_volumes import Volumes
from reconciler.engines.process.spec_rewriter import SpecRewriter
from reconciler.engines.process.state_folder import StateFolder, has_labels
from reconciler.engines.process.streams.process_events import EventSubscription
from reconciler.engines.process.streams.process_logs import ContainerLog
from reconciler.engines.process.supervisor import cgroup_limits, json_files
from reconciler.engines.protocol import (
    ContainerState,
    EngineInfo,
    EventStream,
    LogSource,
    LogStream,
    NetworkState,
    PullProgress,
    RegistryAuth,
    VolumeState,
)
from reconciler.engines.spec_validation import validate_text
from reconciler.engines.specs import ContainerSpec, Mount, NetworkSpec, VolumeSpec
from reconciler.errors import EngineError, EngineUnavailable, NotFound

P = ParamSpec("P")
R = TypeVar("R")

_INVENTORY_AGE: Final = 60.0


def _map_errors(
    method: Callable[Concatenate[ProcessEngine, P], R],
) -> Callable[Concatenate[ProcessEngine, P], R]:
    """Turns errors of the file system into those of :mod:`reconciler.errors`."""

    @functools.wraps(method)
    def call(self: ProcessEngine, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except OSError as error:
            raise EngineError(
                f"The process engine failed: {error}.", remedy=f"Its state is in {self.root}."
            ) from error
        except ValueError as error:
            raise EngineError(
                f"The process engine's state in {self.root} is damaged: {error}.",
                remedy="Put the file back, or end what still runs there and remove the file's folder.",
            ) from error

    return call


class ProcessEngine:
    """An engine without images: see the module.

    Args:
        state_dir: None is ``$XDG_STATE_HOME/reconciler/process``.
        can_mount: whether containers have mount namespaces; None asks the kernel.
        any_loopback: whether each container has its own loopback address; None asks the kernel.

    Raises:
        EngineUnavailable: the state folder cannot be used.
    """

    name = "process"

    def __init__(
        self,
        state_dir: Path | None = None,
        *,
        can_mount: bool | None = None,
        any_loopback: bool | None = None,
    ) -> None:
        default = xdg_folder("XDG_STATE_HOME", ".local/state") / "reconciler" / "process"
        self.root = (state_dir or default).absolute()
        try:
            self._state = StateFolder(self.root)
            host_facts.write_shims(self._state.shims)
        except OSError as error:
            raise EngineUnavailable(
                f"The process engine cannot keep its state in {self.root}: {error.strerror}.",
                remedy="Make it writable, or set XDG_STATE_HOME.",
            ) from error
        self._networks = LoopbackNetworks(self._state, PortReservations(default_folder()))
        self._volumes = Volumes(self._state)
        self._containers = ContainerLifecycle(self._state)
        self._can_mount = can_mount
        self._any_loopback = any_loopback
        self._lock = threading.Lock()
        self._inventory: tuple[float, Mapping[str, tuple[str, ...]]] | None = None
        self._subscriptions: list[EventSubscription] = []

    # The engine

    @_map_errors
    def info(self) -> EngineInfo:
        """Describes this machine; the version is Python's."""
        return EngineInfo(
            name=self.name,
            version=platform.python_version(),
            rootless=os.geteuid() != 0,
            cpus=host_facts.cpus(),
            memory=host_facts.memory(),
        )

    @functools.cached_property
    def _features(self) -> host_facts.HostFeatures:
        """What the kernel lets this user do; asked once."""
        can_mount, any_loopback = self._can_mount, self._any_loopback
        if can_mount is None:
            can_mount = supervisor_launch.probe_mount_namespaces(self.root) == ""
        if any_loopback is None:
            any_loopback = loopback_addresses.can_bind_any_loopback()
        return host_facts.HostFeatures(
            can_mount=can_mount, any_loopback=any_loopback, controllers=cgroup_limits.find_controllers()
        )

    def limitations(self, spec: ContainerSpec) -> list[str]:
        """Returns a sentence for each part of the specification that has no effect here."""
        home = self._state.containers / spec.name
        return list_limitations(spec, home=home, features=self._features)

    def image_exists(self, image: str) -> bool:  # noqa: ARG002  (the Protocol's)
        """True: no image is used."""
        return True

    def sub_path_root(self, mount: Mount) -> str | None:  # noqa: ARG002  (the Protocol's)
        """None: a process can reach only what its user can anyway."""
        return None

    def image_user(self, image: str) -> str | None:  # noqa: ARG002  (the Protocol's)
        """This process's user: no image is used."""
        return str(os.geteuid())

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Does nothing: no image is used."""

    @_map_errors
    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """Returns GPUs by class and index, as ``nvidia-smi`` counts them; cached for a minute."""
        with self._lock:
            if self._inventory is None or time.monotonic() - self._inventory[0] > _INVENTORY_AGE:
                self._inventory = (time.monotonic(), host_facts.find_devices())
            return self._inventory[1]

    def close(self) -> None:
        """Ends the event streams; containers keep running."""
        with self._lock:
            subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            subscription.close()

    # Networks and volumes

    @_map_errors
    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """Returns all networks with the labels."""
        return [state for state in self._networks.list_all() if has_labels(state.labels, labels)]

    @_map_errors
    def inspect_network(self, name: str) -> NetworkState:
        """Returns one network, or raises NotFound."""
        return self._networks.inspect(name)

    @_map_errors
    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Takes a loopback subnet, and a port for rendezvous.

        Raises:
            Conflict: the name is taken.
        """
        state = self._networks.create(spec)
        self._state.publish("network", "create", spec.name, spec.labels)
        return state

    @_map_errors
    def remove_network(self, name: str) -> None:
        """Frees a network's subnet and port.

        Raises:
            Conflict: containers are on it.
        """
        removed = self._networks.remove(name)
        if removed is not None:
            self._state.publish("network", "remove", name, removed.labels)

    @_map_errors
    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """Returns all volumes with the labels."""
        return [state for state in self._volumes.list_all() if has_labels(state.labels, labels)]

    @_map_errors
    def create_volume(self, spec: VolumeSpec) -> None:
        """Creates a folder, in memory where ``tmpfs_size`` asks for it and the machine can.

        Raises:
            Conflict: the name is taken by a volume with other labels.
        """
        self._volumes.create(spec)

    @_map_errors
    def remove_volume(self, name: str) -> None:
        """Removes a volume and its content.

        Raises:
            Conflict: containers mount it.
        """
        self._volumes.remove(name)

    # Containers

    @_map_errors
    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """Returns all containers with the labels, running or not."""
        found = (
            self._containers.observe(home, spec)
            for home, spec in self._state.list_containers(lambda found: has_labels(found["labels"], labels))
            if has_labels(spec["labels"], labels)
        )
        return [state for state in found if state is not None]

    @_map_errors
    def inspect_container(self, name: str) -> ContainerState:
        """Returns one container by name or id, or raises NotFound."""
        return self._containers.inspect(name)

    @_map_errors
    def create_container(self, spec: ContainerSpec) -> str:
        """Creates a container's folder with all that starting it takes.

        Raises:
            Conflict: the name is taken.
            NotFound: the network, a volume, or the container whose network is shared is missing.
            StartFailed: it can never start: no command, no such device, folder or user.
        """
        validate_text(spec, allow_bytes=True)
        container_id = create_container(
            spec,
            state=self._state,
            networks=self._networks,
            volumes=self._volumes,
            features=self._features,
            inventory=self.devices(),
        )
        self._state.publish("container", "create", spec.name, spec.labels)
        return container_id

    def verify_container(self, container: str, spec: ContainerSpec) -> None:
        """Does nothing: a container's folder appears as a whole, with all that was specified."""

    @_map_errors
    def start_container(self, container: str) -> None:
        """See :meth:`ContainerLifecycle.start`."""
        self._containers.start(container)

    @_map_errors
    def stop_container(self, container: str, grace: float) -> None:
        """See :meth:`ContainerLifecycle.stop`."""
        self._containers.stop(container, grace)

    @_map_errors
    def unpause_container(self, container: str) -> None:
        """See :meth:`ContainerLifecycle.unpause`."""
        self._containers.unpause(container)

    @_map_errors
    def remove_container(self, container: str, *, force: bool = True) -> None:
        """See :meth:`ContainerLifecycle.remove`."""
        self._containers.remove(container, force=force)

    @_map_errors
    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        """Runs a command with the container's environment, working directory and mounts.

        Raises:
            NotFound: the container was removed.
            EngineError: it does not run, or the command took longer than ``timeout`` seconds.
        """
        home, spec = self._containers.find(container)
        if process_status.find_run(home) is None:
            raise EngineError(f"{spec['name']} is not running, so {command[0]!r} cannot be run in it.")
        argv = SpecRewriter(**spec["rewrite"]).rewrite_command(command)
        with allow_time(timeout, f"running {command[0]} in {spec['name']}"):
            return supervisor_launch.execute(home, tuple(argv), timeout=timeout)

    @_map_errors
    def exec_session(
        self, container: str, command: tuple[str, ...], *, tty: bool, stdin: bool
    ) -> ProcessExecSession:
        """Runs a command with the container's environment, working directory and mounts, for a person.

        Raises:
            NotFound: the container was removed.
            EngineError: it does not run.
        """
        home, spec = self._containers.find(container)
        if process_status.find_run(home) is None:
            raise EngineError(f"{spec['name']} is not running, so {command[0]!r} cannot be run in it.")
        argv = SpecRewriter(**spec["rewrite"]).rewrite_command(command)
        return supervisor_launch.open_session(home, tuple(argv), tty=tty, stdin=stdin)

    @_map_errors
    def dated_logs(self, container: str, *, since: float | None, follow: bool, tail: int | None) -> LogStream:
        """Refuses: processes write their log themselves, and nobody notes when.

        Raises:
            NotFound: the container was removed.
            EngineError: always, else.
        """
        del since, follow, tail
        _, spec = self._containers.find(container)
        raise EngineError(
            f"The process engine keeps no times of what {spec['name']} prints.",
            remedy="Leave out --since and --timestamps; or run jobs on Podman or Docker, which keep them.",
        )

    @_map_errors
    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        """Returns the container's output; with ``follow`` until the container has exited.

        Raises:
            NotFound: it was removed.
            EngineError: too many files are open to follow a further one.
        """
        return self._log(container, follow=follow, tail=tail)

    @_map_errors
    def open_log(self, container: str, *, follow: bool) -> LogSource:
        """Opens the container's output; with ``follow`` until the container has exited.

        Raises:
            NotFound: it was removed.
            EngineError: too many files are open to follow a further one.
        """
        return self._log(container, follow=follow, tail=None)

    def _log(self, container: str, *, follow: bool, tail: int | None) -> ContainerLog:
        if follow:
            require_room_to_follow()
        home, spec = self._containers.find(container)

        has_ended = functools.partial(self._has_ended, home, spec)
        try:
            return ContainerLog(home / json_files.LOG, follow=follow, tail=tail, has_ended=has_ended)
        except FileNotFoundError:
            raise NotFound(f"There is no container {container}.") from None

    @_map_errors
    def _has_ended(self, home: Path, spec: dict[str, Any]) -> bool:
        state = self._containers.observe(home, spec)
        return state is None or state.state == "exited"

    @_map_errors
    def events(self) -> EventStream:
        """Streams events of all containers and networks from now on."""

        def find_labels(name: str) -> Mapping[str, str]:
            found = self._state.find_container(name)
            return found[1]["labels"] if found else {}

        key = secrets.token_hex(8)
        subscription = EventSubscription(self._state.listeners, key=key, find_labels=find_labels)
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription
