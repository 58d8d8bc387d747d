"""What an engine must do: the one seam between the controller and Podman, Docker or plain processes.

Engines are thin. They hold no state that decides anything, never look at a job as a whole, and turn
every failure into the tree of :mod:`reconciler.errors`. An error is never an empty list: a listing
either succeeds as a whole or raises.

All calls may come from several threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from reconciler.engines.specs import ContainerSpec, Mount, NetworkSpec, VolumeSpec

ContainerStateName = Literal["created", "running", "paused", "stopping", "exited"]


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """Who answered.

    Attributes:
        name: ``podman``, ``docker`` or ``process``.
        version: of the engine.
        host: the socket or URL it was reached at; "" for processes.
        cpus: of the engine's host.
        memory: bytes, of the engine's host.
        details: what ``doctor`` shows (cgroup version, network backend, ...).
    """

    name: str
    version: str
    host: str = ""
    rootless: bool = False
    cpus: float = 0
    memory: int = 0
    #: What this process mounts, the engine sees: both are on one host, in one mount namespace.
    same_mounts: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NetworkState:
    """A network as the engine has it.

    Attributes:
        subnet: CIDR, ``10.89.3.0/24``; container addresses are taken from it, the gateway's and the
            first and last left out.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    subnet: str
    gateway: str = ""
    #: Whether containers resolve each other's names on it.
    dns: bool = True
    #: A rendezvous port of the network's own, where addresses do not tell jobs apart; None: the plan's.
    port: int | None = None


@dataclass(frozen=True, kw_only=True)
class VolumeState:
    """A volume as the engine has it."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ExitFacts:
    """How a container ended.

    Attributes:
        code: exit status; 128 + signal for a signal; None when the engine does not know.
        oom_killed: the kernel killed it for memory.
        finished_at: seconds since the epoch.
        error: the engine's own word (a command that does not exist, ...).
    """

    code: int | None
    oom_killed: bool = False
    finished_at: float | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """A container as the engine has it.

    Attributes:
        exit: facts of the end, when ``state`` is ``exited``.
        address: on the job's network; "" when the listing does not say.
        started_at: seconds since the epoch; None before the first start.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    image: str
    state: ContainerStateName
    exit: ExitFacts | None = None
    address: str = ""
    created_at: float | None = None
    started_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class EngineEvent:
    """Something happened to a labelled thing: a hint to look, never a fact to act on.

    Attributes:
        kind: ``container`` or ``network``.
        action: normalized: ``create start die remove oom pause unpause health`` or the engine's own word.
        labels: of the thing.
    """

    kind: str
    action: str
    name: str
    labels: Mapping[str, str]


class EventStream(Protocol):
    """An iterator of events that another thread may close; ends (or raises EngineError) when broken."""

    def __iter__(self) -> Iterator[EngineEvent]: ...

    def close(self) -> None:
        """End the iteration, from any thread."""


class LogStream(Protocol):
    """An iterator of raw log bytes (stdout and stderr as they came) that another thread may close."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """End the iteration, from any thread."""


@dataclass(frozen=True, kw_only=True)
class PullProgress:
    """How far a pull is: bytes so far and in all (0 unknown), and the engine's words."""

    current: int = 0
    total: int = 0
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class RegistryAuth:
    """Credentials for a registry; never shown by ``repr``."""

    username: str = field(repr=False)
    password: str = field(repr=False)


class Engine(Protocol):
    """A container engine."""

    name: str

    def info(self) -> EngineInfo:
        """Ask who is there.

        Raises:
            EngineUnavailable: nobody answers; the message says what was tried and how to start it.
        """

    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """All containers, running or not, that carry all the labels; exited ones with their exit facts."""

    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """All networks that carry all the labels."""

    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """All volumes that carry all the labels."""

    def inspect_container(self, name: str) -> ContainerState:
        """One container by name or id, whoever owns it; with exit facts and address.

        Raises:
            NotFound: there is none.
        """

    def inspect_network(self, name: str) -> NetworkState:
        """One network by name, whoever owns it.

        Raises:
            NotFound: there is none.
        """

    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Create a bridge network with DNS and a subnet whose addresses can be given to containers.

        Raises:
            Conflict: the name is taken.
        """

    def remove_network(self, name: str) -> None:
        """Remove a network; one that is not there is no error."""

    def create_volume(self, spec: VolumeSpec) -> None:
        """Create a volume; one that exists with the same labels is no error.

        Raises:
            Conflict: the name is taken by a volume with other labels.
        """

    def remove_volume(self, name: str) -> None:
        """Remove a volume; one that is not there is no error."""

    def create_container(self, spec: ContainerSpec) -> str:
        """Create, not start, a container and check by inspect that it is what was asked for.

        Returns:
            The container's id.

        Raises:
            Conflict: the name is taken.
            NotFound: the image, network or a volume is missing.
            StartFailed: the spec can never start (unknown device, bad option).
            Drifted: the engine made something else (the container is removed again).
        """

    def bound_folder(self, mount: Mount) -> str | None:
        """A volume's folder on this host, where a part of it (``sub_path``) is mounted by its path alone.

        None where the engine itself sees to it that the path leads to no other place, or nobody here can.
        """

    def start_container(self, container: str) -> None:
        """Start a created container.

        Raises:
            StartFailed: no such command, device, limit, address in use; the container is left as created.
            NotFound: it is gone.
        """

    def stop_container(self, container: str, grace: float) -> None:
        """TERM, then KILL after ``grace`` seconds; returns when it has ended. Gone or ended is no error."""

    def kill_container(self, container: str, signal: str) -> None:
        """Send a signal (``SIGTERM``); gone or ended is no error."""

    def unpause_container(self, container: str) -> None:
        """Let a paused container go on; one that is not paused is no error."""

    def remove_container(self, container: str, *, force: bool = True) -> None:
        """Remove a container, its anonymous volumes too; one that is not there is no error.

        Args:
            container: its name or id.
            force: end it if it runs.

        Raises:
            Conflict: it runs (or is paused), and is not to be ended.
        """

    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        """Run a command inside; returns exit status and output (at most 64 KiB).

        Raises:
            EngineError: it could not be run, or took longer than ``timeout`` seconds.
        """

    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        """The container's output from its beginning (or the last ``tail`` lines).

        A follower ends when the container has ended and all was delivered. Following a container that
        is created but not yet started waits for its start.

        Raises:
            NotFound: it is gone.
        """

    def image_exists(self, image: str) -> bool:
        """Whether the image is in the engine's store."""

    def image_user(self, image: str) -> str | None:
        """Whom the image has its containers run as (``1000:100``, ``app``; "" is root); None: not there."""

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pull an image, telling of progress on the way.

        Raises:
            ImageError: the message names image, registry and reason.
        """

    def events(self) -> EventStream:
        """Follow events of containers and networks from now on; ends when the connection breaks."""

    def limitations(self, spec: ContainerSpec) -> Sequence[str]:
        """What this engine does not keep of a spec although it makes the container, each in a sentence."""

    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """Device classes the host offers by name: ``{"nvidia.com/gpu": ("0", "1")}`` (CDI inventory)."""

    def close(self) -> None:
        """Release connections."""
