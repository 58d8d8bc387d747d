"""Builds what the supervisor runs from a specification: command, environment, mounts, user, limits.

An image has no meaning here: the command runs with the programs of this machine, found through a PATH that
begins with the daemon's own interpreter. What cannot be kept is listed by :mod:`limitations`.
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

from reconciler.common.descriptor_limit import inherited_limit
from reconciler.engines.host.host_devices import NVIDIA
from reconciler.engines.process import host_facts
from reconciler.engines.process.host_facts import HostFeatures
from reconciler.engines.process.spec_rewriter import SpecRewriter
from reconciler.engines.process.supervisor import cgroup_limits
from reconciler.engines.process.supervisor.process_identity import LINUX, MARKER
from reconciler.engines.process.volume_layout import VolumeLayout, build_layout, mount_entry
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import ContainerSpec
from reconciler.errors import StartFailed

_HOSTS: Final = Path("/etc/hosts")
_RESOLVER: Final = Path("/etc/resolv.conf")


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a container runs.

    Attributes:
        id: of the container.
        home: its final folder; ``build`` is where that folder is now.
        shims: folder of programs for what the interpreter's folder lacks.
        find_volume: returns the folder of a named volume; raises NotFound.
        features: of this machine.
        inventory: devices of this machine.
        network: whose addresses and port it uses.
        address: of its own, or of the container whose network it shares; "" for none.
        hostname: likewise.
    """

    id: str
    home: Path
    build: Path
    shims: Path
    find_volume: Callable[[str], Path]
    features: HostFeatures
    inventory: Mapping[str, tuple[str, ...]]
    network: NetworkState | None
    address: str
    hostname: str


def build_launch(spec: ContainerSpec, placement: Placement) -> tuple[dict[str, Any], SpecRewriter]:
    """Returns the supervisor's input as plain data, and the rewriter that was applied to it.

    Raises:
        StartFailed: the specification can never start here.
        NotFound: a volume does not exist.
    """
    argv = _command(spec)
    features, network = placement.features, placement.network
    layout = build_layout(
        spec,
        home=placement.home,
        build=placement.build,
        can_mount=features.can_mount,
        find_volume=placement.find_volume,
    )
    subnet = network.subnet if network is not None and not features.any_loopback else ""
    rewriter = SpecRewriter(layout.paths, port=network.port if network is not None else None, subnet=subnet)
    launch = {
        "argv": rewriter.rewrite_command(argv),
        "env": _environment(spec, placement, layout, rewriter),
        "cwd": rewriter.rewrite_text(layout.cwd) if spec.working_dir else layout.cwd,
        "view": _build_view(spec, placement, layout) if features.can_mount else None,
        "user": _find_user(spec),
        "descriptors": inherited_limit(),
        "no_new_privileges": LINUX and spec.security.no_new_privileges,
        "cpus": None if "cpu" in features.controllers else _choose_cpus(spec, placement),
        "groups": cgroup_limits.plan_groups(
            dict(features.controllers), name=placement.id[:16], memory=spec.memory_limit, cpus=spec.cpu_limit
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


def _environment(
    spec: ContainerSpec, placement: Placement, layout: VolumeLayout, rewriter: SpecRewriter
) -> dict[str, str]:
    env = host_facts.base_environment(placement.shims)
    if placement.hostname:
        env["HOSTNAME"] = placement.hostname
    if not placement.features.can_mount:
        # Elsewhere gloo and tensorpipe look their address up by the host name.
        env["GLOO_SOCKET_IFNAME"] = env["TP_SOCKET_IFNAME"] = "lo" if LINUX else "lo0"
    env.update(_visible_devices(spec, placement))
    for target, source in layout.paths.items():
        env[f"RECONCILER_MOUNT_{re.sub(r'[^A-Z0-9]+', '_', target.upper()).strip('_')}"] = source
    own = rewriter.rewrite_environment(spec.env)
    return {**env, **own, **_narrow_devices(own, env, placement), MARKER: placement.id}


def _narrow_devices(
    own: Mapping[str, str], assigned: Mapping[str, str], placement: Placement
) -> dict[str, str]:
    """Returns the manifest's choice among the assigned GPUs, which it numbers from 0 as in a container.

    On a machine without GPUs the variables are the manifest's. A choice that is not understood is none.
    """
    narrowed: dict[str, str] = {}
    for kind, variable in host_facts.VISIBLE.items():
        if variable not in own or not placement.inventory.get(kind):
            continue
        mine = [index for index in assigned[variable].split(",") if index]
        chosen = [part.strip() for part in own[variable].split(",") if part.strip()]
        if all(part.isascii() and part.isdigit() for part in chosen):
            narrowed[variable] = ",".join(mine[int(part)] for part in chosen if int(part) < len(mine))
        else:
            narrowed[variable] = "" if chosen == ["-1"] else ",".join(mine)
    return narrowed


def _visible_devices(spec: ContainerSpec, placement: Placement) -> dict[str, str]:
    """Returns the assigned GPUs, by variable; empty where the machine has GPUs and none is assigned."""
    env = {variable: "" for name, variable in host_facts.VISIBLE.items() if placement.inventory.get(name)}
    for name, indexes in spec.devices.items():
        missing = [index for index in indexes if index not in placement.inventory.get(name, ())]
        if name not in host_facts.VISIBLE or missing:
            raise StartFailed(
                f"This machine has no device {name} {', '.join(missing or indexes)} for {spec.name}.",
                remedy="`reconciler doctor` lists the devices.",
            )
        env[host_facts.VISIBLE[name]] = ",".join(indexes)
        if name == NVIDIA:
            env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order of nvidia-smi, where the indexes come from
    return env


def _build_view(spec: ContainerSpec, placement: Placement, layout: VolumeLayout) -> dict[str, Any]:
    (placement.build / "root").mkdir()
    files = [("hosts", _HOSTS, _hosts_file(spec, placement))]
    if spec.dns_servers or spec.dns_searches or spec.dns_options:
        files.append(("resolv.conf", _RESOLVER.resolve(), _resolver_file(spec)))
    private: list[dict[str, Any]] = []
    for name, target, text in files:
        (placement.build / name).write_text(text, encoding="utf-8")
        (placement.build / name).chmod(0o644)
        private.append(mount_entry(placement.home / name, str(target)))
    mounted = {mount["target"] for mount in layout.mounts}  # a manifest may bring its own
    return {
        "root": str(placement.home / "root"),
        "hostname": placement.hostname,
        "mounts": [*(p for p in private if p["target"] not in mounted), *layout.mounts],
    }


def _hosts_file(spec: ContainerSpec, placement: Placement) -> str:
    """The container's names come first: the first line with a name wins."""
    lines = [f"{address} {name}" for name, address in spec.hosts.items()]
    if placement.address and placement.hostname and placement.hostname not in spec.hosts:
        lines.insert(0, f"{placement.address} {placement.hostname}")
    before = (
        _HOSTS.read_text(encoding="utf-8", errors="replace") if _HOSTS.exists() else "127.0.0.1 localhost\n"
    )
    return "\n".join([*lines, before])


def _resolver_file(spec: ContainerSpec) -> str:
    lines = [f"nameserver {server}" for server in spec.dns_servers]
    if not lines and _RESOLVER.exists():
        kept = _RESOLVER.read_text(encoding="utf-8", errors="replace").splitlines()
        lines = [line for line in kept if line.startswith("nameserver")]
    if spec.dns_searches:
        lines.append("search " + " ".join(spec.dns_searches))
    if spec.dns_options:
        lines.append("options " + " ".join(spec.dns_options))
    return "\n".join([*lines, ""])


def _find_user(spec: ContainerSpec) -> dict[str, Any] | None:
    """Returns the ids to change to; None where nothing changes or this user may not change it."""
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


def _choose_cpus(spec: ContainerSpec, placement: Placement) -> list[int] | None:
    """Returns the CPUs to bind to, a different set for each address; None for all."""
    if spec.cpu_limit is None or not hasattr(os, "sched_getaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    wanted = max(1, math.ceil(spec.cpu_limit))
    if wanted >= len(allowed):
        return None
    rank = int(placement.address.rpartition(".")[2] or 0)
    name = placement.network.name if placement.network is not None else ""
    first = (rank * wanted + zlib.crc32(name.encode())) % len(allowed)
    return sorted(allowed[(first + step) % len(allowed)] for step in range(wanted))
