"""What an engine that runs as an ordinary user cannot do, known before it is asked.

Without the cgroup controllers Podman drops a limit or the runtime refuses the start, by version; a port
below 1024 is refused only when the program binds it. So the limits that can't be set are left out of what the
engine is given, and what is not kept is said in one sentence. Files are the other way round: root in such a
container *is* the engine's user, everybody else a subordinate id, unless the user namespace says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reconciler.engines.protocol import EngineInfo
from reconciler.engines.specs import ContainerSpec

#: ``keep-id`` takes the ids in the container since this version of Podman.
KEEP_ID: Final = (4, 3)
PORT_START: Final = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_DEFAULT_PORT_START: Final = 1024
_REMEDY: Final = "`reconciler doctor` says how to change that"


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What the engine's user may do.

    Attributes:
        controllers: cgroup controllers that limits can be set with.
        port_start: the lowest port that the user may bind in the host's network.
    """

    rootless: bool = False
    version: tuple[int, ...] = ()
    cgroup_version: str = ""
    controllers: frozenset[str] = frozenset()
    port_start: int = 0

    @property
    def maps_users(self) -> bool:
        """Whether a chosen id in a container can be the engine's own user."""
        return self.rootless and self.version >= KEEP_ID


def rights(info: EngineInfo) -> Rights:
    """What the engine that says this of itself may do."""
    digits = info.version.split("-")[0].split(".")
    cgroups = str(info.details.get("cgroup_version", ""))
    # Rootless limits need version 2; under version 1 the controllers that are listed are root's.
    given = frozenset(info.details.get("cgroup_controllers") or ()) if cgroups == "2" else frozenset()
    return Rights(
        rootless=info.rootless,
        version=tuple(int(part) for part in digits if part.isdigit()),
        cgroup_version=cgroups,
        controllers=given,
        port_start=_port_start() if info.rootless else 0,
    )


def _port_start() -> int:
    try:
        return int(PORT_START.read_text())
    except (OSError, ValueError):
        return _DEFAULT_PORT_START


def allowed(spec: ContainerSpec, rights: Rights) -> ContainerSpec:
    """The specification without the limits that cannot be set; requests are wishes, and go with them."""
    if not rights.rootless:
        return spec
    if "memory" not in rights.controllers:
        spec = replace(spec, memory_limit=None, memory_reservation=None)
    if "cpu" not in rights.controllers:
        spec = replace(spec, cpu_limit=None, cpu_shares=None)
    return spec


def limitations(spec: ContainerSpec, rights: Rights) -> tuple[str, ...]:
    """What is not kept of the specification, each in a sentence that is the same for every container."""
    return tuple(_limitations(spec, rights)) if rights.rootless else ()


def _limitations(spec: ContainerSpec, rights: Rights) -> Iterator[str]:
    asked = {"cpu": spec.cpu_limit, "memory": spec.memory_limit}
    lacking = [name for name, limit in asked.items() if limit and name not in rights.controllers]
    if lacking:
        why = "under cgroup v1" if rights.cgroup_version == "1" else "without these cgroup controllers"
        names = " and ".join(lacking)
        yield f"Limits on {names} are not enforced: rootless Podman sets none {why}; {_REMEDY}."
    low = [port for port in spec.ports if port < rights.port_start]
    if spec.host_network and low:
        ports = ", ".join(map(str, low))
        yield (
            f"In the host's network a rootless container cannot bind port {ports}: ports below "
            f"{rights.port_start} are root's; {_REMEDY}."
        )
    if spec.security.privileged:
        yield "A privileged container of rootless Podman has the rights of Podman's user, no more."
    if spec.host_user is not None and not rights.maps_users:
        wanted = ".".join(map(str, KEEP_ID))
        yield (
            f"Files that user {spec.host_user[0]} writes to a hostPath will belong to a subordinate id: "
            f"mapping it to Podman's user takes Podman {wanted}."
        )


def user_namespace(spec: ContainerSpec, rights: Rights) -> Mapping[str, Any]:
    """``userns`` of a create: ``host_user`` becomes the engine's user, whose files then are its own.

    A container that joins another's network joins its user namespace too: that is what owns the network.
    """
    if spec.host_user is None or not rights.maps_users:
        return {}
    if spec.share_network_with:
        return {"userns": {"nsmode": "container", "value": spec.share_network_with}}
    uid, gid = spec.host_user
    return {"userns": {"nsmode": "keep-id", "value": f"uid={uid},gid={gid}"}}
