"""What a Podman that runs as an ordinary user cannot do, known before it is asked.

Without the cgroup controllers Podman drops a limit or the runtime rejects the start, by version; a port
below 1024 is refused only when the program binds it. So the limits that can't be set are left out of the
create request, and a sentence reports what is not kept. Files are the other way round: root in such a
container *is* Podman's user, everybody else a subordinate id, unless the user namespace says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reconciler.engines.protocol import EngineInfo
from reconciler.engines.specs import ContainerSpec

#: Since this version of Podman ``keep-id`` takes the ids in the container.
_KEEP_ID: Final = (4, 3)
_PORT_START: Final = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_DEFAULT_PORT_START: Final = 1024
_REMEDY: Final = "`reconciler doctor` says how to change that"


@dataclass(frozen=True, kw_only=True)
class UserPrivileges:
    """What Podman's user may do.

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
        """Reports whether a chosen id in a container can be mapped to Podman's own user."""
        return self.rootless and self.version >= _KEEP_ID


def detect_privileges(info: EngineInfo) -> UserPrivileges:
    """Returns what the user of this Podman may do."""
    digits = info.version.split("-")[0].split(".")
    cgroups = str(info.details.get("cgroup_version", ""))
    # Rootless limits need version 2; under version 1 the controllers that are listed are root's.
    controllers = frozenset(info.details.get("cgroup_controllers") or ()) if cgroups == "2" else frozenset()
    return UserPrivileges(
        rootless=info.rootless,
        version=tuple(int(part) for part in digits if part.isdigit()),
        cgroup_version=cgroups,
        controllers=controllers,
        port_start=_read_port_start() if info.rootless else 0,
    )


def _read_port_start() -> int:
    try:
        return int(_PORT_START.read_text())
    except (OSError, ValueError):
        return _DEFAULT_PORT_START


def without_unsupported_limits(spec: ContainerSpec, privileges: UserPrivileges) -> ContainerSpec:
    """Returns the specification without the limits, and their requests, that cannot be set."""
    if not privileges.rootless:
        return spec
    if "memory" not in privileges.controllers:
        spec = replace(spec, memory_limit=None, memory_reservation=None)
    if "cpu" not in privileges.controllers:
        spec = replace(spec, cpu_limit=None, cpu_shares=None)
    return spec


def list_limitations(spec: ContainerSpec, privileges: UserPrivileges) -> Iterator[str]:
    """Yields what is ignored of the specification, in sentences that are the same for every container."""
    if not privileges.rootless:
        return
    asked = {"cpu": spec.cpu_limit, "memory": spec.memory_limit}
    missing = [name for name, limit in asked.items() if limit and name not in privileges.controllers]
    if missing:
        why = "under cgroup v1" if privileges.cgroup_version == "1" else "without these cgroup controllers"
        names = " and ".join(missing)
        yield f"Limits on {names} are not enforced: rootless Podman sets none {why}; {_REMEDY}."
    low = [port for port in spec.ports if port < privileges.port_start]
    if spec.host_network and low:
        ports = ", ".join(map(str, low))
        yield (
            f"In the host's network a rootless container cannot bind port {ports}: ports below "
            f"{privileges.port_start} are root's; {_REMEDY}."
        )
    if spec.security.privileged:
        yield "A privileged container of rootless Podman has the rights of Podman's user, no more."
    if spec.host_user is not None and not privileges.maps_users:
        wanted = ".".join(map(str, _KEEP_ID))
        yield (
            f"Files that user {spec.host_user[0]} writes to a hostPath will belong to a subordinate id: "
            f"mapping it to Podman's user takes Podman {wanted}."
        )


def user_namespace(spec: ContainerSpec, privileges: UserPrivileges) -> Mapping[str, Any]:
    """Returns ``userns`` of a create request: ``host_user`` is mapped to Podman's user and owns its files.

    A container that joins another's network joins its user namespace too: that is what owns the network.
    """
    if spec.host_user is None or not privileges.maps_users:
        return {}
    if spec.share_network_with:
        return {"userns": {"nsmode": "container", "value": spec.share_network_with}}
    uid, gid = spec.host_user
    return {"userns": {"nsmode": "keep-id", "value": f"uid={uid},gid={gid}"}}
