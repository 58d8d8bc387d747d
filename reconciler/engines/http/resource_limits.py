"""CPU quota and size of ``/dev/shm`` in the units that both engines' create calls and inspects use."""

from __future__ import annotations

from typing import Final

from reconciler.engines.specs import ContainerSpec

#: Microseconds.
CPU_PERIOD: Final = 100_000
SHM_PATH: Final = "/dev/shm"  # noqa: S108  (a mount point, not a temporary file)


def cpu_quota(cpus: float) -> int:
    """Returns microseconds of CPU per :data:`CPU_PERIOD`; the kernel takes no less than 1 ms."""
    return max(1000, round(cpus * CPU_PERIOD))


def shm_size(spec: ContainerSpec) -> int | None:
    """Returns bytes of ``/dev/shm``, by a tmpfs mounted there or the spec; None: the engine's or host's."""
    if spec.host_ipc:
        return None
    for mount in spec.mounts:
        if mount.target.rstrip("/") == SHM_PATH:
            return mount.size if mount.kind == "tmpfs" else None
    return spec.shm_size
