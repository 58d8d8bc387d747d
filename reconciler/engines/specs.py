"""Specifications of networks, volumes and containers that an engine is asked to create, everything resolved.

In terms that Podman, Docker and plain processes share; each engine translates them into its own. What an
engine reports, and its calls, are in :mod:`reconciler.engines.protocol`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A bridge network with DNS.

    Attributes:
        min_addresses: how many containers will need an address.
    """

    name: str
    labels: Mapping[str, str]
    min_addresses: int = 1


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A file system in a container.

    Attributes:
        kind: ``bind`` (``source`` a path on the engine's host), ``volume`` (``source`` a volume's
            name) or ``tmpfs``.
        size: bytes, for ``tmpfs``; None unlimited.
        sub_path: path inside the volume or bind that is mounted instead of the whole.
        relabel: for ``bind``: let SELinux-confined containers read it (only for folders that are this
            project's own: it changes the label on disk).
        root: for a ``bind`` of a hostPath: the volume's path; ``source`` is the same or lies inside it.
    """

    kind: Literal["bind", "volume", "tmpfs"]
    target: str
    source: str = ""
    read_only: bool = False
    size: int | None = None
    sub_path: str = ""
    relabel: bool = False
    root: str = ""


@dataclass(frozen=True, kw_only=True)
class VolumeSpec:
    """A named volume.

    Attributes:
        tmpfs_size: bytes of a volume in memory (0 unlimited); None: on disk.
        owner_labels: further labels for a new volume; an existing volume may lack them, but not have other
            values.
    """

    name: str
    labels: Mapping[str, str]
    tmpfs_size: int | None = None
    owner_labels: Mapping[str, str] = field(default_factory=dict)

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        """Reports whether an existing volume with these labels is the one specified."""
        existing = labels or {}
        return all(existing.get(key) == value for key, value in self.labels.items()) and all(
            existing.get(key, value) == value for key, value in self.owner_labels.items()
        )


@dataclass(frozen=True, kw_only=True)
class Security:
    """Security options, in the engine's terms.

    Attributes:
        user: ``user`` or ``user:group``; "": the image's.
    """

    user: str = ""
    groups: tuple[str, ...] = ()
    privileged: bool = False
    no_new_privileges: bool = False
    read_only_root: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    seccomp: str = ""
    apparmor: str = ""
    selinux: Mapping[str, str] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """A container to create.

    Attributes:
        entrypoint: replaces the image's entrypoint; None keeps it (Kubernetes ``command``). When it is
            set and ``command`` is None the image's own command is dropped, as in Kubernetes.
        command: replaces the image's command; None keeps it (Kubernetes ``args``).
        network: name of the network to join at ``address``; "" where the namespace is shared.
        share_network_with: name of the container whose network (and hostname) is shared.
        host_network: use the host's network.
        hosts: entries for ``/etc/hosts``: name to address.
        cpu_limit: CPUs; ``cpu_shares`` relative weight (1024 is one CPU).
        memory_limit: bytes.
        shm_size: bytes of ``/dev/shm``; None the engine's default.
        devices: assigned device names by class: ``{"nvidia.com/gpu": ("0", "1")}``.
        ports: container ports that the manifest declares.
        host_user: uid and gid in the container that are mapped to the engine's own user on the host, where
            the engine runs as an ordinary user and can map them; the same for all that share a network.
        stop_grace: seconds between TERM and KILL.
    """

    name: str
    image: str
    labels: Mapping[str, str]
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    hostname: str = ""
    network: str = ""
    address: str = ""
    aliases: tuple[str, ...] = ()
    share_network_with: str = ""
    share_pid_with: str = ""
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    hosts: Mapping[str, str] = field(default_factory=dict)
    dns_servers: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    cpu_limit: float | None = None
    cpu_shares: int | None = None
    memory_limit: int | None = None
    memory_reservation: int | None = None
    shm_size: int | None = None
    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    host_user: tuple[int, int] | None = None
    security: Security = field(default_factory=Security)
    stop_grace: float = 30.0
    tty: bool = False
    stdin: bool = False
