"""Whether a created container is what was asked for.

Engines drop what they cannot do and report success: a memory limit without the cgroup controller, a GPU
whose option was not understood; training then runs on the CPU, or takes the host down. Both engines'
inspect has the same shape, so the comparison is written once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciler.engines.specs import ContainerSpec
from reconciler.errors import Drifted, StartFailed

CPU_PERIOD: Final = 100_000
SHM: Final = "/dev/shm"  # noqa: S108  (a mount point, not a temporary file)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A field that the engine made otherwise."""

    field: str
    asked: str
    got: str

    def __str__(self) -> str:
        return f"{self.field}: asked for {self.asked}, got {self.got or 'none'}"


def raise_if_unspeakable(spec: ContainerSpec, *, raw: bool = False) -> None:
    """Whether the variables and words of a container can be given to one: bytes of a Secret may not.

    The engines put another character in place of what is no text; runc quotes the whole variable where it
    has a zero byte, and it may be a secret. So they are not asked.

    Args:
        spec: of the container.
        raw: bytes need be no text.

    Raises:
        StartFailed: naming the variable, not what is in it.
    """
    places = [(f"the value of the variable {name}", value) for name, value in spec.env.items()]
    words = (*(spec.entrypoint or ()), *(spec.command or ()))
    places += [("a word of the command line", word) for word in words]
    for place, text in places:
        if "\0" in text or not (raw or _is_text(text)):
            raise StartFailed(
                f"Container {spec.name} cannot be made: {place} is no text, but holds other bytes.",
                remedy="Mount the Secret as a file instead.",
            )


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def cpu_quota(cpus: float) -> int:
    """Microseconds of CPU per period of 100 ms; the kernel takes no less than 1 ms."""
    return max(1000, round(cpus * CPU_PERIOD))


def differences(spec: ContainerSpec, inspected: Mapping[str, Any]) -> Iterator[Difference]:
    """What both engines' inspect tells of shm, limits, mounts, rights and network.

    Requests (CPU shares, the memory reservation) are left out: they are wishes for a crowded machine, and a
    rootless engine without cgroup controllers may well run a job without them.
    """
    host: Mapping[str, Any] = inspected.get("HostConfig") or {}
    yield from _sizes(spec, host)
    yield from _cpu(spec, host)
    yield from _mounts(spec, inspected, host)
    yield from _rights(spec, host)
    networks = (inspected.get("NetworkSettings") or {}).get("Networks") or {}
    if spec.network and spec.network not in networks:
        yield Difference(field="network", asked=spec.network, got=", ".join(networks))


def _sizes(spec: ContainerSpec, host: Mapping[str, Any]) -> Iterator[Difference]:
    wanted = (
        ("memory limit", spec.memory_limit, host.get("Memory")),
        ("size of /dev/shm", shm_size(spec), host.get("ShmSize")),
    )
    for field, asked, got in wanted:
        if asked and asked != got:
            yield Difference(field=field, asked=f"{asked} bytes", got=f"{got} bytes" if got else "")


def _cpu(spec: ContainerSpec, host: Mapping[str, Any]) -> Iterator[Difference]:
    if spec.cpu_limit is not None:
        quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or CPU_PERIOD
        got = quota / period if quota > 0 else (host.get("NanoCpus") or 0) / 1e9
        if abs(got - cpu_quota(spec.cpu_limit) / CPU_PERIOD) > 0.001:
            yield Difference(
                field="cpu limit", asked=f"{spec.cpu_limit:g} CPUs", got=f"{got:g} CPUs" if got else ""
            )


def _mounts(
    spec: ContainerSpec, inspected: Mapping[str, Any], host: Mapping[str, Any]
) -> Iterator[Difference]:
    there = {mount.get("Destination"): mount for mount in inspected.get("Mounts") or ()}
    in_memory = host.get("Tmpfs") or {}
    for mount in spec.mounts:
        target = mount.target.rstrip("/") or "/"
        if mount.kind == "tmpfs":
            if target not in in_memory and target not in there and target != SHM:
                yield Difference(field="mount", asked=f"tmpfs at {target}", got="")
        elif target not in there:
            yield Difference(field="mount", asked=f"{mount.source} at {target}", got="")
        elif mount.read_only and there[target].get("RW"):
            yield Difference(field="mount", asked=f"{target} read-only", got="writable")
        elif mount.root and there[target].get("Source") != mount.source:
            # It was judged under this name, and under no other.
            got = f"{there[target].get('Source')} at {target}"
            yield Difference(field="mount", asked=f"{mount.source} at {target}", got=got)


def _rights(spec: ContainerSpec, host: Mapping[str, Any]) -> Iterator[Difference]:
    """More rights than were asked for: the one thing that no log of the job would ever show."""
    wanted = spec.security
    if host.get("Privileged") and not wanted.privileged:
        yield Difference(field="privileged", asked="false", got="true")
    options = " ".join(host.get("SecurityOpt") or ())
    if wanted.no_new_privileges and "no-new-privileges" not in options:
        yield Difference(field="no-new-privileges", asked="true", got="")
    asked = {_plain(name) for name in wanted.cap_drop}
    dropped = {_plain(name) for name in host.get("CapDrop") or ()}
    # Podman tells of what it has dropped in fact, and so of nothing that it does not give anyway.
    added = {_plain(name) for name in host.get("CapAdd") or ()}
    kept = added - {_plain(name) for name in wanted.cap_add}
    if kept or (asked & added) or (not dropped and asked):
        got = ", ".join(sorted(kept or asked - dropped))
        yield Difference(field="capabilities", asked=f"without {', '.join(sorted(asked))}", got=f"with {got}")
    if wanted.read_only_root and not host.get("ReadonlyRootfs"):
        yield Difference(field="root file system", asked="read-only", got="writable")
    for key, shared in (
        ("PidMode", spec.host_pid),
        ("IpcMode", spec.host_ipc),
        ("NetworkMode", spec.host_network),
    ):
        if host.get(key) == "host" and not shared:
            yield Difference(field=key, asked="the container's own", got="the host's")


def _plain(capability: str) -> str:
    return capability.upper().removeprefix("CAP_")


def shm_size(spec: ContainerSpec) -> int | None:
    """Bytes of ``/dev/shm``; a sized tmpfs mounted there says it; None where the host's is used."""
    if spec.host_ipc:
        return None
    for mount in spec.mounts:
        if mount.target.rstrip("/") == SHM:
            return mount.size if mount.kind == "tmpfs" else None
    return spec.shm_size


def raise_if_drifted(name: str, found: Sequence[Difference], warnings: Sequence[str] = ()) -> None:
    """Say which fields differ.

    Raises:
        Drifted: ``found`` is not empty.
    """
    if not found:
        return
    said = f" The engine warned: {' '.join(warnings)}" if warnings else ""
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
        f"Container {name} is not what was asked for: {'; '.join(map(str, found))}.{said}", remedy=remedy
    )
