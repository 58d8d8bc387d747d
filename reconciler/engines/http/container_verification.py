"""Verifies that a created container is as specified.

Engines drop what they cannot do and report success: a memory limit without the cgroup controller, a GPU
whose option was not understood; training then runs on the CPU, or takes the host down. Both engines'
inspect has the same shape, so the comparison is written once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.engines.http.resource_limits import CPU_PERIOD, SHM_PATH, cpu_quota, shm_size
from reconciler.engines.specs import ContainerSpec
from reconciler.errors import Drifted

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A field that the engine set to something else."""

    field: str
    asked: str
    got: str

    def __str__(self) -> str:
        return f"{self.field}: asked for {self.asked}, got {self.got or 'none'}"


def find_differences(spec: ContainerSpec, inspected: Json) -> Iterator[Difference]:
    """Yields what differs in an inspect: shm, limits, mounts, privileges and network.

    Requests (CPU shares, the memory reservation) are left out: they matter only on a crowded machine, and a
    rootless engine without cgroup controllers may well run a job without them.
    """
    host: Json = inspected.get("HostConfig") or {}
    yield from _sizes(spec, host)
    yield from _cpu(spec, host)
    yield from _mounts(spec, inspected, host)
    yield from _privileges(spec, host)
    yield from _namespaces(spec, host)
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    if spec.network and spec.network not in networks:
        yield Difference(field="network", asked=spec.network, got=", ".join(networks))


def _sizes(spec: ContainerSpec, host: Json) -> Iterator[Difference]:
    sizes = (
        ("memory limit", spec.memory_limit, host.get("Memory")),
        ("size of /dev/shm", shm_size(spec), host.get("ShmSize")),
    )
    for field, asked, got in sizes:
        if asked and asked != got:
            yield Difference(field=field, asked=f"{asked} bytes", got=f"{got} bytes" if got else "")


def _cpu(spec: ContainerSpec, host: Json) -> Iterator[Difference]:
    if spec.cpu_limit is not None:
        quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or CPU_PERIOD
        got = quota / period if quota > 0 else (host.get("NanoCpus") or 0) / 1e9
        if abs(got - cpu_quota(spec.cpu_limit) / CPU_PERIOD) > 0.001:
            yield Difference(
                field="cpu limit", asked=f"{spec.cpu_limit:g} CPUs", got=f"{got:g} CPUs" if got else ""
            )


def _mounts(spec: ContainerSpec, inspected: Json, host: Json) -> Iterator[Difference]:
    mounted = {mount.get("Destination"): mount for mount in inspected.get("Mounts") or ()}
    tmpfs = host.get("Tmpfs") or {}
    for mount in spec.mounts:
        target = mount.target.rstrip("/") or "/"
        if mount.kind == "tmpfs":
            if target not in tmpfs and target not in mounted and target != SHM_PATH:
                yield Difference(field="mount", asked=f"tmpfs at {target}", got="")
        elif target not in mounted:
            yield Difference(field="mount", asked=f"{mount.source} at {target}", got="")
        elif mount.read_only and mounted[target].get("RW"):
            yield Difference(field="mount", asked=f"{target} read-only", got="writable")
        elif mount.root and mounted[target].get("Source") != mount.source:
            # The policy allowed this path, and no other.
            got = f"{mounted[target].get('Source')} at {target}"
            yield Difference(field="mount", asked=f"{mount.source} at {target}", got=got)


def _privileges(spec: ContainerSpec, host: Json) -> Iterator[Difference]:
    """Yields privileges beyond the specified ones: the difference that no log of the job would show."""
    security = spec.security
    if host.get("Privileged") and not security.privileged:
        yield Difference(field="privileged", asked="false", got="true")
    options = " ".join(host.get("SecurityOpt") or ())
    if security.no_new_privileges and "no-new-privileges" not in options:
        yield Difference(field="no-new-privileges", asked="true", got="")
    asked = _capabilities(security.cap_drop)
    dropped = _capabilities(host.get("CapDrop"))
    # Podman reports what it has dropped in fact, and so nothing that it does not give anyway.
    added = _capabilities(host.get("CapAdd"))
    kept = added - _capabilities(security.cap_add)
    if kept or (asked & added) or (not dropped and asked):
        got = ", ".join(sorted(kept or asked - dropped))
        yield Difference(field="capabilities", asked=f"without {', '.join(sorted(asked))}", got=f"with {got}")
    if security.read_only_root and not host.get("ReadonlyRootfs"):
        yield Difference(field="root file system", asked="read-only", got="writable")


def _capabilities(names: Sequence[str] | None) -> set[str]:
    return {name.upper().removeprefix("CAP_") for name in names or ()}


def _namespaces(spec: ContainerSpec, host: Json) -> Iterator[Difference]:
    for key, shared in (
        ("PidMode", spec.host_pid),
        ("IpcMode", spec.host_ipc),
        ("NetworkMode", spec.host_network),
    ):
        if host.get(key) == "host" and not shared:
            yield Difference(field=key, asked="the container's own", got="the host's")


def raise_if_drifted(name: str, found: Sequence[Difference], warnings: Sequence[str] = ()) -> None:
    """Raises an error that names the fields that differ, if any.

    Raises:
        Drifted: ``found`` is not empty.
    """
    if not found:
        return
    warned = f" The engine warned: {' '.join(warnings)}" if warnings else ""
    fields = {difference.field for difference in found}
    remedy = ""
    if fields & {"memory limit", "cpu limit"}:
        remedy = (
            "The engine cannot set the limit: rootless engines need cgroup v2 with delegated controllers "
            "(https://rootlesscontaine.rs/getting-started/common/cgroup2/); or drop `resources.limits`."
        )
    elif "devices" in fields:
        remedy = "Check the CDI specifications (`nvidia-ctk cdi list`) and the engine's version."
    raise Drifted(
        f"Container {name} is not what was asked for: {'; '.join(map(str, found))}.{warned}", remedy=remedy
    )
