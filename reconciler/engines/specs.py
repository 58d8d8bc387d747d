"""What is asked of an engine: networks, volumes and containers, everything resolved.

In terms that Podman, Docker and plain processes share; each engine turns them into its own. What an engine
has, and all that it can be asked to do, is in :mod:`reconciler.engines.protocol`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A bridge network with DNS.

    Attributes:
        min_addresses: how many containers will want an address.
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
        sub_path: inside the volume or bind.
        relabel: for ``bind``: let SELinux-confined containers read it (only for folders that are this
            project's own: it changes the label on disk).
        root: for a ``bind`` of a hostPath: the volume's path, of which ``source`` is the whole or a part.
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
    """A named volume; ``tmpfs_size``: kept in memory (bytes; 0 unlimited), None on disk.

    ``owner`` are labels that it is given besides; one that is there may lack them, but not have others.
    """

    name: str
    labels: Mapping[str, str]
    tmpfs_size: int | None = None
    owner: Mapping[str, str] = field(default_factory=dict)

    def is_met_by(self, labels: Mapping[str, str] | None) -> bool:
        """Whether a volume that is there already is this one."""
        there = labels or {}
        return all(there.get(key) == value for key, value in self.labels.items()) and all(
            there.get(key, value) == value for key, value in self.owner.items()
        )


@dataclass(frozen=True, kw_only=True)
class Security:
    """Security options, in the engine's terms.

    Attributes:
        user: ``user``, ``user:group``; "": as the image has it.
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
    """A container to make, everything resolved.

    Attributes:
        entrypoint: replaces the image's entrypoint; None keeps it (Kubernetes ``command``). When it is
            set and ``command`` is None the image's own command is dropped, as in Kubernetes.
        command: replaces the image's command; None keeps it (Kubernetes ``args``).
        network: name of the network to join at ``address``; "" when the namespace is shared.
        share_network_with: name of the container whose network (and hostname) is shared.
        host_network: use the host's network.
        hosts: ``/etc/hosts``: name to address.
        cpu_limit: CPUs; ``cpu_shares`` relative weight (1024 is one CPU).
        memory_limit: bytes.
        shm_size: bytes of ``/dev/shm``; None the engine's default.
        devices: assigned device names by class: ``{"nvidia.com/gpu": ("0", "1")}``.
        ports: that it says it listens on.
        host_user: uid and gid in the container that should be the engine's own user on the host, where the
            engine runs as an ordinary user and can map them; the same for all that share a network.
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
