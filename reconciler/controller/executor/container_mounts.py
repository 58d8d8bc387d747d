"""Builds the volumes of a pod and the mounts of its containers for the engine. Pure.

A ``memory`` volume that one container mounts at one place is a tmpfs of that container; one that is seen at
two places has to be a volume, or each place would show other files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import PurePosixPath

from reconciler.controller.executor.placement import Host
from reconciler.engines.specs import Mount, VolumeSpec
from reconciler.names import LABEL_INSTANCE, LABEL_KIND, LABEL_UID, job_labels, qualified_name
from reconciler.plan.job_plan import JobPlan, MountPlan, PodPlan, ResourcePlan, VolumePlan
from reconciler.state.record import Record

SHM = "/dev/shm"  # noqa: S108  (a mount point, not a temporary file)

#: Values of the label ``kind`` on volumes.
VOLUME_SCRATCH = "scratch"
VOLUME_CLAIM = "claim"


def volume_specs(plan: JobPlan, pod: PodPlan, record: Record, host: Host) -> Iterator[VolumeSpec]:
    """The engine volumes that one pod mounts."""
    labels = job_labels(namespace=record.namespace, job=record.name, uid=record.uid, instance=host.instance)
    # A volume outlives a rerun, so it cannot carry the uid of one life.
    del labels[LABEL_UID]
    own_prefix = qualified_name(plan.namespace, plan.name) + "-"
    for volume in pod.volumes:
        name = _volume_name(pod, volume)
        if volume.kind == "named":
            is_own = volume.source.startswith(own_prefix) and not volume.retain
            yield VolumeSpec(
                name=name,
                labels={LABEL_KIND: VOLUME_CLAIM} | (labels if is_own else {}),
                # A claim of that name in another specs folder is that folder's data.
                owner_labels={LABEL_INSTANCE: host.instance},
            )
        elif volume.kind == "scratch":
            yield VolumeSpec(name=name, labels=labels | {LABEL_KIND: VOLUME_SCRATCH})
        elif volume.kind == "memory" and _is_shared(pod, volume):
            yield VolumeSpec(
                name=name, labels=labels | {LABEL_KIND: VOLUME_SCRATCH}, tmpfs_size=volume.size or 0
            )


def build_mounts(
    pod: PodPlan, planned: Sequence[MountPlan], host: Host
) -> tuple[tuple[Mount, ...], int | None]:
    """A container's mounts, and the size of ``/dev/shm`` where a memory volume is mounted there."""
    volumes = {v.name: v for v in pod.volumes}
    mounts: list[Mount] = []
    shm: int | None = None
    for mount in planned:
        volume = volumes[mount.volume]
        tmpfs = volume.kind == "memory" and not _is_shared(pod, volume)
        if tmpfs and mount.path.rstrip("/") == SHM:
            shm = volume.size or host.memory // 2 or None
            continue
        mounts.append(_mount(pod, volume, mount, host, tmpfs=tmpfs))
    return tuple(mounts), shm


def default_shm_size(resources: ResourcePlan, host: Host) -> int | None:
    """``/dev/shm`` for DataLoader workers: what tmpfs takes by default, half of the memory there is.

    A size costs nothing until it is used, and what is used counts towards the memory limit.
    """
    return resources.memory_limit or host.memory // 2 or None


def _volume_name(pod: PodPlan, volume: VolumePlan) -> str:
    """The volume's name on the engine: a claim's as planned, any other's ``<pod>-<volume>``."""
    return volume.source if volume.kind == "named" else f"{pod.name}-{volume.name}"


def _is_shared(pod: PodPlan, volume: VolumePlan) -> bool:
    """Whether what is written at one mount has to be seen at another."""
    mounts = [[m.sub_path for m in c.mounts if m.volume == volume.name] for c in pod.containers]
    users = [[PurePosixPath(path) for path in paths] for paths in mounts if paths]
    return len(users) > 1 or any(
        one.is_relative_to(other) or other.is_relative_to(one)
        for paths in users
        for one, other in combinations(paths, 2)
    )


def _mount(pod: PodPlan, volume: VolumePlan, mount: MountPlan, host: Host, *, tmpfs: bool) -> Mount:
    if tmpfs:
        return Mount(kind="tmpfs", target=mount.path, read_only=mount.read_only, size=volume.size)
    if volume.kind == "host":
        source = str(PurePosixPath(volume.source, mount.sub_path))
        return Mount(
            kind="bind", target=mount.path, source=source, read_only=mount.read_only, root=volume.source
        )
    if volume.kind == "files":
        source = str(PurePosixPath(host.files, pod.name, volume.name, mount.sub_path))
        return Mount(kind="bind", target=mount.path, source=source, read_only=True, relabel=True)
    return Mount(
        kind="volume",
        target=mount.path,
        source=_volume_name(pod, volume),
        read_only=mount.read_only,
        sub_path=mount.sub_path,
    )
