"""Translates a :class:`ContainerSpec` to the body of the Docker Engine API's create request."""

from __future__ import annotations

import math
from typing import Any

from reconciler.common.regular_files import read_regular_text
from reconciler.engines.host import cdi, host_devices, sub_paths
from reconciler.engines.http.resource_limits import CPU_PERIOD, SHM_PATH, cpu_quota, shm_size
from reconciler.engines.specs import ContainerSpec, Mount, Security
from reconciler.errors import StartFailed
from reconciler.plan.pod.device_variables import hide_devices


def docker_create_body(spec: ContainerSpec, *, with_cdi: bool) -> dict[str, Any]:
    """Returns the body for ``POST /containers/create``.

    Args:
        spec: of the container.
        with_cdi: the engine resolves CDI names (Docker 25 with the feature switched on, 28 as it comes).

    Raises:
        StartFailed: a device that this Docker cannot give, a sub-path that leads out of its volume.
    """
    devices = _devices(spec, with_cdi=with_cdi)
    by_variable = any(request.get("Driver") != "cdi" for request in devices["DeviceRequests"])
    env = hide_devices(spec.env, given_by_variable=by_variable)
    body: dict[str, Any] = {
        "Image": spec.image,
        "Labels": dict(spec.labels),
        "Env": [f"{name}={value}" for name, value in env.items()],
        "User": spec.security.user,
        "WorkingDir": spec.working_dir,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StopTimeout": math.ceil(spec.stop_grace),
        "HostConfig": {
            **_namespaces(spec),
            **_limits(spec),
            **_mounts(spec),
            **_security(spec.security),
            **devices,
            "RestartPolicy": {"Name": "no"},
        },
    }
    if spec.entrypoint is not None:
        body["Entrypoint"] = list(spec.entrypoint)
    if spec.command is not None:
        body["Cmd"] = list(spec.command)
    if spec.share_network_with:
        return body  # host name, hosts and DNS are those of the other container; Docker rejects them here
    if spec.hostname:
        body["Hostname"] = spec.hostname
    if spec.network and not spec.host_network:
        body["NetworkingConfig"] = {"EndpointsConfig": {spec.network: _endpoint(spec)}}
    return body


def _endpoint(spec: ContainerSpec) -> dict[str, Any]:
    names = [*spec.aliases, *([spec.hostname] if spec.hostname not in {"", spec.name} else [])]
    endpoint: dict[str, Any] = {"Aliases": names} if names else {}
    if spec.address:
        endpoint["IPAMConfig"] = {"IPv4Address": spec.address}
    return endpoint


def _namespaces(spec: ContainerSpec) -> dict[str, Any]:
    host: dict[str, Any] = {}
    if spec.share_network_with:
        host["NetworkMode"] = f"container:{spec.share_network_with}"
    else:
        host |= {
            "NetworkMode": "host" if spec.host_network else spec.network or "none",
            "ExtraHosts": [f"{name}:{address}" for name, address in spec.hosts.items()],
            "Dns": list(spec.dns_servers),
            "DnsSearch": list(spec.dns_searches),
            "DnsOptions": list(spec.dns_options),
        }
    if spec.share_pid_with:
        host["PidMode"] = f"container:{spec.share_pid_with}"
    elif spec.host_pid:
        host["PidMode"] = "host"
    if spec.host_ipc:
        host["IpcMode"] = "host"
    elif size := shm_size(spec):
        host["ShmSize"] = size
    return host


def _limits(spec: ContainerSpec) -> dict[str, Any]:
    host: dict[str, Any] = {}
    if spec.memory_limit:
        # As on a cluster: no swap beyond the limit (Docker's default is as much again).
        host |= {"Memory": spec.memory_limit, "MemorySwap": spec.memory_limit}
    if spec.memory_reservation:
        host["MemoryReservation"] = spec.memory_reservation
    if spec.cpu_limit is not None:
        # Not NanoCpus: Docker rejects more of them than the host has, and a limit may be higher.
        host |= {"CpuQuota": cpu_quota(spec.cpu_limit), "CpuPeriod": CPU_PERIOD}
    if spec.cpu_shares:
        host["CpuShares"] = max(2, spec.cpu_shares)
    return host


def _mounts(spec: ContainerSpec) -> dict[str, Any]:
    binds: list[str] = []
    mounts: list[dict[str, Any]] = []
    tmpfs: dict[str, str] = {}
    for mount in spec.mounts:
        if mount.kind == "tmpfs":
            # A sized one at /dev/shm is the size of /dev/shm.
            if mount.target.rstrip("/") != SHM_PATH or not mount.size:
                tmpfs[mount.target] = _tmpfs_options(mount)
        elif mount.kind == "bind" and mount.relabel:
            # Only this older form knows the label.
            source = sub_paths.bind_source(mount)
            binds.append(f"{source}:{mount.target}:{'ro' if mount.read_only else 'rw'},z")
        else:
            mounts.append(_mount(mount))
    return {"Binds": binds, "Mounts": mounts, "Tmpfs": tmpfs}


def _tmpfs_options(mount: Mount) -> str:
    options = ["ro" if mount.read_only else "rw", "exec", "nosuid", "nodev", "mode=1777"]
    if mount.size:
        options.append(f"size={mount.size}")
    return ",".join(options)


def _mount(mount: Mount) -> dict[str, Any]:
    body: dict[str, Any] = {"Type": mount.kind, "Target": mount.target, "ReadOnly": mount.read_only}
    if mount.kind == "bind":
        return body | {"Source": sub_paths.bind_source(mount)}
    # A pod's volume hides what the image has there; engines would copy it in.
    options: dict[str, Any] = {"NoCopy": True}
    if mount.sub_path:
        options["Subpath"] = mount.sub_path
    return body | {"Source": mount.source, "VolumeOptions": options}


def _security(security: Security) -> dict[str, Any]:
    options = [f"label={key}:{value}" for key, value in security.selinux.items() if value]
    if security.no_new_privileges:
        options.append("no-new-privileges:true")
    if security.seccomp:
        options.append(f"seccomp={_read_seccomp(security.seccomp)}")
    if security.apparmor:
        options.append(f"apparmor={security.apparmor}")
    return {
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only_root,
        "CapAdd": list(security.cap_add),
        "CapDrop": list(security.cap_drop),
        "GroupAdd": list(security.groups),
        "Sysctls": dict(security.sysctls),
        "SecurityOpt": options,
    }


def _read_seccomp(profile: str) -> str:
    """Returns the profile's text: the API takes no path."""
    if profile == "unconfined":
        return profile
    try:
        return read_regular_text(profile)
    except OSError as error:
        raise StartFailed(
            f"The seccomp profile {profile} cannot be read: {error.strerror}.",
            remedy="Put it there, or correct `securityContext.seccompProfile`.",
        ) from error


def _devices(spec: ContainerSpec, *, with_cdi: bool) -> dict[str, Any]:
    requests: list[dict[str, Any]] = []
    nodes: list[str] = []
    for kind, names in spec.devices.items():
        # AMD's devices are there without a CDI spec, too.
        if with_cdi and (kind != host_devices.AMD or any(d.kind == kind for d in cdi.read_inventory())):
            requests.append({"Driver": "cdi", "DeviceIDs": [f"{kind}={name}" for name in names]})
        elif kind == host_devices.NVIDIA:
            requests.append({"DeviceIDs": list(names), "Capabilities": [["gpu"]]})
        elif kind == host_devices.AMD:
            nodes += host_devices.amd_device_nodes(spec.name, names)
        else:
            raise StartFailed(
                f"Container {spec.name} asks for {kind}, which this Docker can give only through CDI.",
                remedy="Use Docker 28 or later (25 with the feature `cdi` on in daemon.json), or Podman.",
            )
    devices = [{"PathOnHost": node, "PathInContainer": node, "CgroupPermissions": "rwm"} for node in nodes]
    return {"DeviceRequests": requests, "Devices": devices}
