"""Translates a :class:`ContainerSpec` to the body of libpod's create request (``SpecGenerator``).

The raw body, not podman-py's ``containers.create``: that one drops or mistranslates limits, devices, empty
lists and tmpfs mounts without a word.
"""

from __future__ import annotations

import math
from typing import Any

from reconciler.engines.host import cdi, host_devices, sub_paths
from reconciler.engines.http.resource_limits import CPU_PERIOD, SHM_PATH, cpu_quota, shm_size
from reconciler.engines.specs import ContainerSpec, Mount, Security
from reconciler.errors import StartFailed
from reconciler.plan.pod.device_variables import hide_devices


def podman_create_body(
    spec: ContainerSpec, *, inventory: list[cdi.CdiDevice], rootless: bool = False
) -> dict[str, Any]:
    """Returns the body for ``POST /libpod/containers/create``.

    Raises:
        StartFailed: a device that does not exist, a sub-path that leads out of its volume.
    """
    body: dict[str, Any] = {
        "name": spec.name,
        "image": spec.image,
        "labels": dict(spec.labels),
        "env": hide_devices(spec.env),
        "stop_timeout": math.ceil(spec.stop_grace),
        # Whatever containers.conf says: the log must be readable, complete, and end when the container does.
        "log_configuration": {"driver": "k8s-file"},
        "terminal": spec.tty,
        "stdin": spec.stdin,
        "resource_limits": _limits(spec),
        "devices": [{"path": path} for path in _device_paths(spec, inventory)],
        **_namespaces(spec),
        **_mounts(spec),
        **_security(spec.security),
        "sysctl": _sysctls(spec, rootless=rootless),
    }
    if spec.entrypoint is not None:
        body["entrypoint"] = list(spec.entrypoint)
    if spec.command is not None:
        body["command"] = list(spec.command)
    if spec.working_dir:
        # As the kubelet's runtimes do, a missing folder is made.
        body |= {"work_dir": spec.working_dir, "create_working_dir": True}
    return body


def _sysctls(spec: ContainerSpec, *, rootless: bool) -> dict[str, str]:
    """Returns the manifest's sysctls, and what Docker sets by itself: `ping` works without raw sockets."""
    own_network = not spec.host_network and not spec.share_network_with
    ping = {"net.ipv4.ping_group_range": "0 0" if rootless else "0 2147483647"} if own_network else {}
    return {**ping, **spec.security.sysctls}


def _namespaces(spec: ContainerSpec) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if spec.share_network_with:
        shared = {"nsmode": "container", "value": spec.share_network_with}
        # /etc/hosts, resolv.conf and the host name are those of the other container.
        body |= {"netns": shared, "utsns": shared}
    else:
        body |= _network(spec)
    if spec.share_pid_with:
        body["pidns"] = {"nsmode": "container", "value": spec.share_pid_with}
    elif spec.host_pid:
        body["pidns"] = {"nsmode": "host"}
    if spec.host_ipc:
        body["ipcns"] = {"nsmode": "host"}
    elif size := shm_size(spec):
        body["shm_size"] = size
    return body


def _network(spec: ContainerSpec) -> dict[str, Any]:
    body: dict[str, Any] = {
        "hostadd": [f"{name}:{address}" for name, address in spec.hosts.items()],
        "dns_server": list(spec.dns_servers),
        "dns_search": list(spec.dns_searches),
        "dns_option": list(spec.dns_options),
    }
    if spec.hostname:
        body["hostname"] = spec.hostname
    if spec.host_network:
        return body | {"netns": {"nsmode": "host"}}
    if not spec.network:
        return body | {"netns": {"nsmode": "none"}}
    names = [*spec.aliases, *([spec.hostname] if spec.hostname not in {"", spec.name} else [])]
    endpoint: dict[str, Any] = {"aliases": names} if names else {}
    if spec.address:
        endpoint["static_ips"] = [spec.address]
    # Rootless Podman's default is slirp4netns, which has no networks.
    return body | {"netns": {"nsmode": "bridge"}, "networks": {spec.network: endpoint}}


def _limits(spec: ContainerSpec) -> dict[str, Any]:
    limits: dict[str, Any] = {}
    memory: dict[str, int] = {}
    if spec.memory_limit:
        # As on a cluster: no swap beyond the limit.
        memory |= {"limit": spec.memory_limit, "swap": spec.memory_limit}
    if spec.memory_reservation:
        memory["reservation"] = spec.memory_reservation
    cpu: dict[str, int] = {}
    if spec.cpu_limit is not None:
        cpu |= {"quota": cpu_quota(spec.cpu_limit), "period": CPU_PERIOD}
    if spec.cpu_shares:
        cpu["shares"] = max(2, spec.cpu_shares)
    if memory:
        limits["memory"] = memory
    if cpu:
        limits["cpu"] = cpu
    return limits


def _device_paths(spec: ContainerSpec, inventory: list[cdi.CdiDevice]) -> list[str]:
    """Returns the paths under ``devices``: CDI names; AMD's device nodes where no CDI spec describes them.

    Raises:
        StartFailed: the inventory has the class, but not the device.
    """
    known: dict[str, set[str]] = {}
    for device in inventory:
        known.setdefault(device.kind, set()).add(device.name)
    paths: list[str] = []
    for kind, names in spec.devices.items():
        if kind == host_devices.AMD and kind not in known:
            paths += host_devices.amd_device_nodes(spec.name, names)
            continue
        for name in names:
            if kind in known and name not in known[kind]:
                raise StartFailed(
                    f"Container {spec.name} asks for the device {kind}={name}, but the host has only "
                    f"{', '.join(sorted(known[kind]))}.",
                    remedy="See `nvidia-ctk cdi list`; when devices changed, generate the CDI spec again.",
                )
            paths.append(f"{kind}={name}")
    return paths


def _mounts(spec: ContainerSpec) -> dict[str, Any]:
    binds: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    for mount in spec.mounts:
        if mount.kind == "tmpfs":
            # A sized one at /dev/shm is the size of /dev/shm.
            if mount.target.rstrip("/") != SHM_PATH or not mount.size:
                binds.append(_tmpfs(mount))
        elif mount.kind == "bind":
            binds.append(_bind(mount))
        else:
            volumes.append(_volume(mount))
    return {"mounts": binds, "volumes": volumes}


def _tmpfs(mount: Mount) -> dict[str, Any]:
    options = ["ro" if mount.read_only else "rw", "mode=1777", "notmpcopyup"]
    if mount.size:
        options.append(f"size={mount.size}")
    return {"type": "tmpfs", "source": "tmpfs", "destination": mount.target, "options": options}


def _bind(mount: Mount) -> dict[str, Any]:
    options = ["rbind", "rprivate", "ro" if mount.read_only else "rw"]
    if mount.relabel:
        options.append("z")
    return {
        "type": "bind",
        "source": sub_paths.bind_source(mount),
        "destination": mount.target,
        "options": options,
    }


def _volume(mount: Mount) -> dict[str, Any]:
    # A pod's volume hides what the image has there; engines would copy it in.
    options = ["nocopy", "ro" if mount.read_only else "rw"]
    body: dict[str, Any] = {"Name": mount.source, "Dest": mount.target, "Options": options}
    if mount.sub_path:
        body["SubPath"] = mount.sub_path
    return body


def _security(security: Security) -> dict[str, Any]:
    body: dict[str, Any] = {
        "privileged": security.privileged,
        "no_new_privileges": security.no_new_privileges,
        "read_only_filesystem": security.read_only_root,
        "cap_add": list(security.cap_add),
        "cap_drop": list(security.cap_drop),
        "groups": list(security.groups),
        "selinux_opts": [f"{key}:{value}" for key, value in security.selinux.items() if value],
    }
    if security.user:
        body["user"] = security.user
    if security.seccomp:
        body["seccomp_profile_path"] = security.seccomp
    if security.apparmor:
        body["apparmor_profile"] = security.apparmor
    return body
