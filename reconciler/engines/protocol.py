"""The Engine Protocol: the one interface between the controller and Podman, Docker or plain processes.

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
    """The engine that answers, and its host.

    Attributes:
        name: ``podman``, ``docker`` or ``process``.
        version: of the engine.
        host: the socket or URL it was reached at; "" for processes.
        cpus: of the engine's host.
        memory: bytes, of the engine's host.
        same_mounts: what this process mounts, the engine sees: both are on one host, in one mount namespace.
        details: of Podman and Docker, what ``doctor`` checks (cgroup version, network backend, ...).
    """

    name: str
    version: str
    host: str = ""
    rootless: bool = False
    cpus: float = 0
    memory: int = 0
    same_mounts: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NetworkState:
    """A network as the engine reports it.

    Attributes:
        subnet: CIDR, ``10.89.3.0/24``; container addresses are taken from it, the gateway's and the
            first and last left out.
        dns: containers on it resolve each other's names.
        port: the network's own rendezvous port, where addresses do not tell jobs apart; None: the plan's.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    subnet: str
    gateway: str = ""
    dns: bool = True
    port: int | None = None


@dataclass(frozen=True, kw_only=True)
class VolumeState:
    """A volume as the engine reports it."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ExitFacts:
    """How a container exited.

    Attributes:
        code: exit status; 128 + signal for a signal; None when the engine does not know.
        oom_killed: the kernel killed it for memory.
        finished_at: seconds since the epoch.
        error: the engine's own message (a command that does not exist, ...).
    """

    code: int | None
    oom_killed: bool = False
    finished_at: float | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class ContainerState:
    """A container as the engine reports it.

    Attributes:
        exit: exit facts, when ``state`` is ``exited``.
        address: on the job's network; "" where a listing does not say.
        started_at: seconds since the epoch; None before the first start.
    """

    id: str
    name: str
    labels: Mapping[str, str]
    state: ContainerStateName
    exit: ExitFacts | None = None
    address: str = ""
    created_at: float | None = None
    started_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class EngineEvent:
    """A change of a container or network: a hint to list again, never a fact to act on.

    Attributes:
        kind: ``container`` or ``network``.
        action: normalized: ``create start die remove oom pause unpause health`` or the engine's own name.
        labels: of the container or network.
    """

    kind: str
    action: str
    name: str
    labels: Mapping[str, str]


class EventStream(Protocol):
    """An iterator of events that another thread may close; ends (or raises EngineError) when broken."""

    def __iter__(self) -> Iterator[EngineEvent]: ...

    def close(self) -> None:
        """Ends the iteration, from any thread."""


class LogStream(Protocol):
    """An iterator of raw log bytes (stdout and stderr as they came) that another thread may close."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """Ends the iteration, from any thread."""


class ExecSession(Protocol):
    """A command that runs in a container, for a person who is there.

    Iterating gives its output as it comes: whether it is standard error's, and the bytes.
    """

    def __iter__(self) -> Iterator[tuple[bool, bytes]]: ...

    def send(self, data: bytes) -> None:
        """Sends input, from any thread; a command that has ended takes none."""

    def close_input(self) -> None:
        """Ends the input, from any thread."""

    def resize(self, columns: int, lines: int) -> None:
        """Sets the size of the command's terminal, from any thread."""

    def exit_code(self) -> int:
        """Returns the command's exit status, once its output has ended.

        Raises:
            EngineError: the engine does not know it.
        """

    def close(self) -> None:
        """Ends the session, from any thread."""


class LogSource(Protocol):
    """A container's output from its beginning, read without waiting: one thread reads many.

    For one thread at a time, but for what it says of :meth:`watch`.

    Attributes:
        exact: a followed source ends only where the log does, and has left nothing out; False: it may miss
            the end, which is read again from the beginning, without following, once the container has exited.
    """

    exact: bool

    @property
    def poll_seconds(self) -> float:
        """Seconds after which it is to be read again, whether or not a change was reported."""

    def read(self) -> bytes | None:
        """Returns what there is now; None: nothing, and more may come; ``b""``: the end.

        Raises:
            EngineError: the stream broke.
        """

    def watch(self, changed: Callable[[], None]) -> int | None:
        """Reports from now on when there may be more to read; called once, before :meth:`read`.

        Args:
            changed: called from any thread; it must not wait.

        Returns:
            A descriptor that becomes readable, in place of the calls; None: ``changed`` is called.
        """

    def open_rest(self) -> LogSource | None:
        """Returns what follows the end of a followed source; None where it ended with the log. May wait.

        Raises:
            NotFound: the container is gone, and its last lines may be missing.
        """

    def close(self) -> None:
        """Ends the reading."""


@dataclass(frozen=True, kw_only=True)
class PullProgress:
    """Progress of a pull: bytes so far and in total (0 unknown), and the engine's message."""

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
        """Returns facts of the engine and its host.

        Raises:
            EngineUnavailable: no engine answers; the message says what was tried and how to start it.
        """

    def list_containers(self, labels: Mapping[str, str]) -> list[ContainerState]:
        """Returns all containers that carry all the labels, running or not; exited ones with exit facts."""

    def list_networks(self, labels: Mapping[str, str]) -> list[NetworkState]:
        """Returns all networks that carry all the labels."""

    def list_volumes(self, labels: Mapping[str, str]) -> list[VolumeState]:
        """Returns all volumes that carry all the labels."""

    def inspect_container(self, name: str) -> ContainerState:
        """Returns a container by name or id, whoever owns it; with exit facts and address.

        Raises:
            NotFound: there is none.
        """

    def inspect_network(self, name: str) -> NetworkState:
        """Returns a network by name, whoever owns it.

        Raises:
            NotFound: there is none.
        """

    def create_network(self, spec: NetworkSpec) -> NetworkState:
        """Creates a bridge network with DNS and a subnet whose addresses can be given to containers.

        Raises:
            Conflict: the name is taken.
        """

    def remove_network(self, name: str) -> None:
        """Removes a network; a missing one is no error.

        Raises:
            Conflict: containers are on it.
        """

    def create_volume(self, spec: VolumeSpec) -> None:
        """Creates a volume; one that exists with the same labels is no error.

        Raises:
            Conflict: the name is taken by a volume with other labels.
        """

    def remove_volume(self, name: str) -> None:
        """Removes a volume; a missing one is no error.

        Raises:
            Conflict: containers mount it.
        """

    def create_container(self, spec: ContainerSpec) -> str:
        """Creates, but does not start, a container, and verifies by inspect that it is as specified.

        Returns:
            The container's id.

        Raises:
            Conflict: the name is taken.
            NotFound: the image, network or a volume is missing.
            StartFailed: the spec can never start (unknown device, bad option).
            Busy: the engine refuses for the moment.
            Drifted: the engine created something else (the container is removed again).
        """

    def verify_container(self, container: str, spec: ContainerSpec) -> None:
        """Verifies a container whose create was not answered, as a create does.

        Args:
            container: its id.
            spec: what it was to be created from.

        Raises:
            NotFound: the container, or a volume, is gone.
            Drifted: it is not as specified; it is left as it is.
        """

    def sub_path_root(self, mount: Mount) -> str | None:
        """Returns the volume's folder on this host where the engine mounts ``sub_path`` as a path below it.

        None where the engine itself keeps the path inside the volume, or this process cannot see the folder.
        """

    def start_container(self, container: str) -> None:
        """Starts a created container.

        Raises:
            StartFailed: no such command, device, limit; the container is left as created.
            Busy: the engine refuses for the moment: the address is in use, it is being removed, ...
            NotFound: the container is gone.
        """

    def stop_container(self, container: str, grace: float) -> None:
        """Sends TERM, then KILL after ``grace`` seconds; returns when the container has exited.

        A container that is gone or has exited is no error.
        """

    def unpause_container(self, container: str) -> None:
        """Resumes a paused container; one that is not paused is no error."""

    def remove_container(self, container: str, *, force: bool = True) -> None:
        """Removes a container and its anonymous volumes; a missing one is no error.

        Args:
            container: its name or id.
            force: kill it if it runs.

        Raises:
            Conflict: it runs (or is paused), and ``force`` is not set.
        """

    def exec(self, container: str, command: tuple[str, ...], *, timeout: float) -> tuple[int, bytes]:
        """Runs a command in the container; returns exit status and output (at most 64 KiB).

        Raises:
            EngineError: the command could not be run, or took longer than ``timeout`` seconds.
        """

    def exec_session(
        self, container: str, command: tuple[str, ...], *, tty: bool, stdin: bool
    ) -> ExecSession:
        """Runs a command in the container, with input and output, for as long as it takes.

        Args:
            container: its name or id.
            command: the program and its arguments.
            tty: give it a terminal; its output is then one stream.
            stdin: give it input.

        Raises:
            NotFound: the container is gone.
            EngineError: it does not run, or the command could not be run.
        """

    def dated_logs(self, container: str, *, since: float | None, follow: bool, tail: int | None) -> LogStream:
        """Returns the container's output with the time of each line (RFC 3339, a blank) before it.

        Args:
            container: its name or id.
            since: only what was printed since then, seconds since the epoch; None: all of it.
            follow: go on until the container has exited.
            tail: only so many last lines; None: all.

        Raises:
            NotFound: the container is gone.
            EngineError: this engine keeps no times.
        """

    def logs(self, container: str, *, follow: bool, tail: int | None = None) -> LogStream:
        """Returns the container's output from its beginning (or the last ``tail`` lines).

        With ``follow`` the stream ends when the container has exited and all was delivered. Following a
        container that is created but not yet started waits for its start.

        Raises:
            NotFound: the container is gone.
        """

    def open_log(self, container: str, *, follow: bool) -> LogSource:
        """Opens the output of a container that has been started, from its beginning.

        Args:
            container: its name or id.
            follow: the source ends when the container has exited; else with what there is.

        Raises:
            NotFound: the container is gone.
            LogUnreadable: the engine never gives this container's output.
        """

    def image_exists(self, image: str) -> bool:
        """Reports whether the image is in the engine's store."""

    def image_user(self, image: str) -> str | None:
        """Returns the user that an image sets (``1000:100``, ``app``; "" is root); None: no such image."""

    def pull_image(
        self, image: str, *, auth: RegistryAuth | None, progress: Callable[[PullProgress], None]
    ) -> None:
        """Pulls an image and calls ``progress`` whenever it changes.

        Raises:
            ImageError: the message names image, registry and reason.
        """

    def events(self) -> EventStream:
        """Follows events of containers and networks from now on; ends when the connection breaks."""

    def limitations(self, spec: ContainerSpec) -> Sequence[str]:
        """Returns sentences on what this engine ignores of a spec although it creates the container."""

    def devices(self) -> Mapping[str, tuple[str, ...]]:
        """Returns the host's devices by class: ``{"nvidia.com/gpu": ("0", "1")}`` (CDI inventory)."""

    def close(self) -> None:
        """Closes all connections."""
