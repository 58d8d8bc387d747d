"""From a container's specification to what the supervisor runs: command, environment, view, user.

An image has no meaning here: the command runs with the programs of this machine, found through a PATH that
begins with the daemon's own interpreter. What cannot be kept is said by :func:`limitations`.
"""

from __future__ import annotations

import math
import os
import pwd
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.engines.process import host_facts
from reconciler.engines.process.path_rewriting import Rewriter
from reconciler.engines.process.supervisor import cgroup_limits
from reconciler.engines.process.supervisor.process_identity import LINUX, MARKER
from reconciler.engines.process.volume_layout import Layout, lay_out, replaced
from reconciler.engines.specs import ContainerSpec, Mount
from reconciler.errors import StartFailed
from reconciler.plan import progress_reporting

_HOSTS: Final = Path("/etc/hosts")
_RESOLVER: Final = Path("/etc/resolv.conf")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a container will be.

    Attributes:
        id: of the container.
        home: its folder, as it will be named; ``build`` where that folder is now.
        shims: programs for what the interpreter's folder lacks.
        volume: the folder of a named volume; raises NotFound.
        isolated: it gets a view of the file system of its own.
        address: of its own, or of the container whose network it shares; "" none.
        hostname: likewise.
        network: whose addresses and port it uses; "" none.
        port: of the network, in place of 29500; None leaves it.
        subnet: whose addresses become 127.0.0.1; "" leaves them.
        inventory: devices the machine has.
        limits: what ``limiting.offers`` found.
    """

    id: str
    home: Path
    build: Path
    shims: Path
    volume: Callable[[str], Path]
    isolated: bool
    address: str = ""
    hostname: str = ""
    network: str = ""
    port: int | None = None
    subnet: str = ""
    inventory: Mapping[str, tuple[str, ...]]
    limits: Mapping[str, str]


def translate(spec: ContainerSpec, place: Place) -> tuple[dict[str, Any], Rewriter]:
    """What the supervisor is given, as plain data; and what was put in place of what.

    Raises:
        StartFailed: the specification can never start here.
        NotFound: a volume does not exist.
    """
    argv = _command(spec)
    layout = lay_out(spec, home=place.home, build=place.build, isolated=place.isolated, volume=place.volume)
    rewriter = Rewriter(layout.paths, port=place.port, subnet=place.subnet)
    launch = {
        "argv": rewriter.arguments(argv),
        "env": _environment(spec, place, layout, rewriter),
        "cwd": rewriter.text(layout.cwd) if spec.working_dir else layout.cwd,
        "view": _view(spec, place, layout) if place.isolated else None,
        "user": _user(spec),
        "no_new_privileges": LINUX and spec.security.no_new_privileges,
        "cpus": None if "cpu" in place.limits else _cpus(spec, place),
        "groups": cgroup_limits.groups(
            dict(place.limits), name=place.id[:16], memory=spec.memory_limit, cpus=spec.cpu_limit
        ),
    }
    return launch, rewriter


def _command(spec: ContainerSpec) -> list[str]:
    argv = [*(spec.entrypoint or ()), *(spec.command or ())]
    if not argv:
        raise StartFailed(
            f"Container {spec.name} relies on the entrypoint of image {spec.image!r}, "
            "and the process engine uses no images.",
            remedy="Give a command (spec.trainer.command), or run it on Podman or Docker.",
        )
    return argv


def _environment(spec: ContainerSpec, place: Place, layout: Layout, rewriter: Rewriter) -> dict[str, str]:
    env = host_facts.environment(place.shims)
    if place.hostname:
        env["HOSTNAME"] = place.hostname
    if not place.isolated:
        # Elsewhere gloo and tensorpipe find their address by the host name.
        env["GLOO_SOCKET_IFNAME"] = env["TP_SOCKET_IFNAME"] = "lo" if LINUX else "lo0"
    env.update(_visible_devices(spec, place))
    for target, source in layout.paths.items():
        env[f"RECONCILER_MOUNT_{re.sub(r'[^A-Z0-9]+', '_', target.upper()).strip('_')}"] = source
    return {**env, **rewriter.environment(spec.env), MARKER: place.id}


def _visible_devices(spec: ContainerSpec, place: Place) -> dict[str, str]:
    """The assigned GPUs, by variable; none where the machine has some and none is assigned."""
    env = {variable: "" for name, variable in host_facts.VISIBLE.items() if place.inventory.get(name)}
    for name, indexes in spec.devices.items():
        missing = [index for index in indexes if index not in place.inventory.get(name, ())]
        if name not in host_facts.VISIBLE or missing:
            raise StartFailed(
                f"This machine has no device {name} {', '.join(missing or indexes)} for {spec.name}.",
                remedy="`reconciler doctor` shows the devices there are.",
            )
        env[host_facts.VISIBLE[name]] = ",".join(indexes)
        if name == host_facts.NVIDIA:
            env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order of nvidia-smi, from which the indexes are
    return env


def _view(spec: ContainerSpec, place: Place, layout: Layout) -> dict[str, Any]:
    (place.build / "root").mkdir()
    files = [("hosts", _HOSTS, _hosts(spec, place))]
    if spec.dns_servers or spec.dns_searches or spec.dns_options:
        files.append(("resolv.conf", _RESOLVER.resolve(), _resolver(spec)))
    private: list[dict[str, Any]] = []
    for name, target, text in files:
        (place.build / name).write_text(text, encoding="utf-8")
        (place.build / name).chmod(0o644)
        private.append(
            {
                "kind": "bind",
                "source": str(place.home / name),
                "target": str(target),
                "read_only": False,
                "size": None,
            }
        )
    own = {mount["target"] for mount in layout.mounts}  # a manifest may bring its own
    return {
        "root": str(place.home / "root"),
        "hostname": place.hostname,
        "mounts": [*(p for p in private if p["target"] not in own), *layout.mounts],
    }


def _hosts(spec: ContainerSpec, place: Place) -> str:
    """Ours first: the first line that knows a name wins."""
    lines = [f"{address} {name}" for name, address in spec.hosts.items()]
    if place.address and place.hostname and place.hostname not in spec.hosts:
        lines.insert(0, f"{place.address} {place.hostname}")
    before = (
        _HOSTS.read_text(encoding="utf-8", errors="replace") if _HOSTS.exists() else "127.0.0.1 localhost\n"
    )
    return "\n".join([*lines, before])


def _resolver(spec: ContainerSpec) -> str:
    lines = [f"nameserver {server}" for server in spec.dns_servers]
    if not lines and _RESOLVER.exists():
        kept = _RESOLVER.read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [line for line in kept if line.startswith("nameserver")]
    if spec.dns_searches:
        lines.append("search " + " ".join(spec.dns_searches))
    if spec.dns_options:
        lines.append("options " + " ".join(spec.dns_options))
    return "\n".join([*lines, ""])


def _user(spec: ContainerSpec) -> dict[str, Any] | None:
    """Ids to change to; None where there is nothing to change or no right to."""
    if not spec.security.user or os.geteuid() != 0:
        return None
    name, _, group = spec.security.user.partition(":")
    try:
        entry = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
        uid, gid = entry.pw_uid, entry.pw_gid
    except KeyError:
        if not name.isdigit():
            raise StartFailed(f"This machine has no user {name!r} for {spec.name}.") from None
        uid, gid = int(name), 0
    gid = int(group) if group.isdigit() else gid
    extra = [int(g) for g in spec.security.groups if g.isdigit()]
    return None if (uid, gid) == (0, 0) and not extra else {"uid": uid, "gid": gid, "groups": extra or [gid]}


def _cpus(spec: ContainerSpec, place: Place) -> list[int] | None:
    """CPUs to bind to, a different set for each address; None for all."""
    if spec.cpu_limit is None or not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    wanted = max(1, math.ceil(spec.cpu_limit))
    if wanted >= len(allowed):
        return None
    rank = int(place.address.rpartition(".")[2] or 0)
    first = (rank * wanted + zlib.crc32(place.network.encode())) % len(allowed)
    return sorted(allowed[(first + step) % len(allowed)] for step in range(wanted))


def limitations(spec: ContainerSpec, *, home: Path, isolated: bool, limits: Mapping[str, str]) -> list[str]:
    """What the process engine does not keep of a specification, each in a sentence.

    Args:
        spec: of the container.
        home: where its folder would be.
        isolated: whether it gets a view of the file system of its own.
        limits: what ``limiting.offers`` found.
    """
    security = spec.security
    # Every training has the folder of its token: its path stands in variables, so replacing it costs nobody.
    moved = [m for m in replaced(spec, home=home, isolated=isolated) if m.target != progress_reporting.FOLDER]
    bound = spec.cpu_limit is not None and "cpu" not in limits
    checks = (
        (True, f"The image {spec.image} is not used: the command runs with the programs of this machine."),
        (spec.memory_limit is not None and "memory" not in limits, "The memory limit is not enforced."),
        (
            bound and LINUX and spec.cpu_limit != math.ceil(spec.cpu_limit or 0),
            f"The CPU limit is rounded up to whole CPUs ({math.ceil(spec.cpu_limit or 0)}).",
        ),
        (bound and not LINUX, "The CPU limit is not enforced."),
        (bool(security.user) and not _may_be(security.user), f"The user {security.user} is not applied."),
        (
            bool(
                security.cap_add
                or security.cap_drop
                or security.seccomp
                or security.apparmor
                or security.selinux
            ),
            "Capabilities, seccomp, AppArmor and SELinux options are not applied.",
        ),
        (bool(security.sysctls), "Kernel parameters (sysctls) are not set."),
        (security.privileged, "The container is not privileged: it has the daemon's own rights."),
        (security.read_only_root, "The root file system is not read-only."),
        (
            bool(spec.share_pid_with) and not spec.host_pid,
            "There is no process namespace of its own to share: it sees all processes of this machine.",
        ),
        (spec.tty or spec.stdin, "There is no terminal and no standard input."),
        (
            bool(spec.hosts) and not isolated,
            "Host names of other nodes do not resolve: use addresses (MASTER_ADDR is one).",
        ),
        (
            bool(spec.dns_servers or spec.dns_searches or spec.dns_options) and not isolated,
            "DNS options are not applied.",
        ),
        (bool(moved), _rewritten(moved)),
        (any(m.read_only for m in moved), "Those of them that are read-only can be written to."),
    )
    return [sentence for applies, sentence in checks if applies]


def _rewritten(mounts: list[Mount]) -> str:
    paths = ", ".join(m.target for m in mounts)
    return (
        f"Volumes are not mounted ({paths}): their paths are replaced in command, arguments and environment."
    )


def _may_be(user: str) -> bool:
    return os.geteuid() == 0 or user.partition(":")[0] in {
        str(os.geteuid()),
        pwd.getpwuid(os.geteuid()).pw_name,
    }
