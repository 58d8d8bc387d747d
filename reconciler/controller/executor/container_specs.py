"""From a planned container to what an engine is given. Pure: addresses, secrets and devices are arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import PurePosixPath

from reconciler.config.policy import capability
from reconciler.controller.statemachine.restart_policy import joins_owner, owns_network
from reconciler.engines.protocol import NetworkState
from reconciler.engines.specs import ContainerSpec, Mount, Security, VolumeSpec
from reconciler.names import (
    LABEL_ATTEMPT,
    LABEL_CONTAINER,
    LABEL_DEVICES,
    LABEL_INDEX,
    LABEL_INSTANCE,
    LABEL_KIND,
    LABEL_RANK,
    LABEL_RESTART,
    LABEL_REVISION,
    LABEL_SPEC_HASH,
    LABEL_STEP,
    PREFIX,
    job_labels,
    qualified,
)
from reconciler.plan.expansion import expand_references, references
from reconciler.plan.job_plan import (
    ContainerPlan,
    JobPlan,
    MountPlan,
    PodPlan,
    ResourcePlan,
    SecurityPlan,
    VolumePlan,
)
from reconciler.plan.resolver import Lookup, resolve_container
from reconciler.state.record import Record

#: Tells the script which attempt it is, from 0: above 0 it should look for a checkpoint.
ATTEMPT_VARIABLE = "RECONCILER_ATTEMPT"
#: Of the engines' default capabilities, those that no container gets unless it asks: raw packets (forged
#: addresses in the job's network), device nodes, the kernel's audit log, changing one's own capabilities.
DROPPED = ("AUDIT_WRITE", "MKNOD", "NET_RAW", "SETPCAP")
SHM = "/dev/shm"  # noqa: S108  (a mount point, not a temporary file)

VOLUME_SCRATCH = "scratch"
VOLUME_CLAIM = "claim"


@dataclass(frozen=True, kw_only=True)
class Host:
    """What a spec must know of where it will run.

    Attributes:
        instance: owner's label.
        revision: the commit that the manifests come from, for what is made now; "" for a plain folder.
        files: folder of the job's materialized ``files`` volumes, as an absolute path.
        memory: bytes of the host, for the size of ``/dev/shm``; 0 unknown.
    """

    instance: str
    files: str
    memory: int = 0
    revision: str = ""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where one run of a job is: its network and the address of every pod.

    Attributes:
        progress: host and port at which the daemon hears of a pod's progress; those that it cannot
            hear are missing.
    """

    network: NetworkState
    addresses: Mapping[tuple[str, int], str]
    port: int
    spec_hash: str
    progress: Mapping[tuple[str, int], str] = field(default_factory=dict)


def labels_of(record: Record, instance: str, revision: str = "") -> dict[str, str]:
    """The job's labels, as on every network, volume and container; the commit on what is made from it."""
    own = job_labels(namespace=record.namespace, job=record.name, uid=record.uid, instance=instance)
    return own | ({LABEL_REVISION: revision} if revision else {})


def volume_name(pod: PodPlan, volume: VolumePlan) -> str:
    """Name on the engine: of a claim as planned; of scratch space ``<instance>-<volume>``."""
    return volume.source if volume.kind == "named" else f"{pod.name}-{volume.name}"


def volumes_of(plan: JobPlan, pod: PodPlan, record: Record, host: Host) -> Iterator[VolumeSpec]:
    """The engine volumes one pod mounts."""
    mine = labels_of(record, host.instance)
    # A claim lives on across reruns, so it cannot carry the uid of one life.
    claim = {k: v for k, v in mine.items() if not k.endswith("/uid")}
    own = qualified(plan.namespace, plan.name) + "-"
    for volume in pod.volumes:
        name = volume_name(pod, volume)
        if volume.kind == "named":
            is_own = volume.source.startswith(own) and not volume.retain
            yield VolumeSpec(
                name=name,
                labels={LABEL_KIND: VOLUME_CLAIM} | (claim if is_own else {}),
                # Another folder's claim of that name is another's data.
                owner={LABEL_INSTANCE: host.instance},
            )
        elif volume.kind == "scratch":
            yield VolumeSpec(name=name, labels=claim | {LABEL_KIND: VOLUME_SCRATCH})
        elif volume.kind == "memory" and _shared(pod, volume):
            yield VolumeSpec(
                name=name, labels=claim | {LABEL_KIND: VOLUME_SCRATCH}, tmpfs_size=volume.size or 0
            )


def _shared(pod: PodPlan, volume: VolumePlan) -> bool:
    """Whether what is written at one place is to be seen at another, so that a tmpfs each would not do."""
    mounts = [[m.sub_path for m in c.mounts if m.volume == volume.name] for c in pod.containers]
    users = [[PurePosixPath(path) for path in paths] for paths in mounts if paths]
    return len(users) > 1 or any(
        one.is_relative_to(other) or other.is_relative_to(one)
        for paths in users
        for one, other in combinations(paths, 2)
    )


def container_spec(
    plan: JobPlan,
    pod: PodPlan,
    container: ContainerPlan,
    *,
    record: Record,
    placement: Placement,
    host: Host,
    lookup: Lookup,
) -> ContainerSpec:
    """Everything the engine needs to make one container.

    Raises:
        PlanError: a Secret, ConfigMap or key that it needs is not there.
    """
    resolved = resolve_container(
        plan,
        pod,
        container,
        addresses=placement.addresses,
        lookup=lookup,
        port=placement.port,
        attempt=record.restarts,
        progress=placement.progress.get((pod.step, pod.index), ""),
    )
    env = {ATTEMPT_VARIABLE: str(record.attempt)} | dict(resolved.env)
    ended = record.container(_owner(pod)).result
    # An owner that has done its work has left the address: who restarts after it takes it over.
    shares = joins_owner(pod, container.name) and (ended is None or not ended.succeeded)
    devices = _devices(pod, container, record)
    mounts, shm = _mounts(pod, resolved.mounts, host)
    owner = _owner(pod)
    joined = owner if shares and not pod.host_network else ""
    network = "" if pod.host_network or joined else placement.network.name
    resources = container.resources
    return ContainerSpec(
        name=container.name,
        image=container.image,
        labels=_labels(pod, container, record=record, placement=placement, host=host, devices=devices),
        entrypoint=resolved.command,
        command=resolved.args,
        env=env,
        working_dir=container.working_dir,
        hostname="" if joined or pod.host_network else pod.hostname,
        network=network,
        address=placement.addresses[pod.step, pod.index] if network else "",
        aliases=pod.aliases if network else (),
        share_network_with=joined,
        share_pid_with=owner if pod.share_process_namespace and shares else "",
        host_network=pod.host_network,
        host_pid=pod.host_pid,
        host_ipc=pod.host_ipc,
        hosts={} if joined else _hosts(plan, pod, placement),
        dns_servers=() if joined else pod.dns_servers,
        dns_searches=() if joined else pod.dns_searches,
        dns_options=() if joined else pod.dns_options,
        mounts=mounts,
        cpu_limit=resources.cpu_limit,
        cpu_shares=_shares(resources),
        memory_limit=resources.memory_limit,
        memory_reservation=resources.memory_request,
        shm_size=None if pod.host_ipc else shm or _default_shm(resources, host),
        devices=devices,
        ports=container.ports,
        host_user=_host_user(pod),
        security=_security(container.security),
        stop_grace=pod.termination_grace,
        tty=container.tty,
        stdin=container.stdin,
    )


def _owner(pod: PodPlan) -> str:
    return next(c.name for c in pod.containers if owns_network(pod, c.name))


def _labels(
    pod: PodPlan,
    container: ContainerPlan,
    *,
    record: Record,
    placement: Placement,
    host: Host,
    devices: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    own = labels_of(record, host.instance, host.revision) | {
        LABEL_STEP: pod.step,
        LABEL_INDEX: str(pod.index),
        LABEL_CONTAINER: container.container,
        LABEL_KIND: container.kind,
        LABEL_ATTEMPT: str(record.attempt),
        LABEL_RESTART: str(record.container(container.name).restart),
        LABEL_SPEC_HASH: placement.spec_hash,
    }
    if pod.rank is not None:
        own[LABEL_RANK] = str(pod.rank)
    if devices:
        own[LABEL_DEVICES] = ",".join(f"{kind}={i}" for kind, names in devices.items() for i in names)
    # Labels of this project's own are facts; a manifest that writes some would be believed.
    return {key: value for key, value in pod.labels.items() if not key.startswith(PREFIX)} | own


def _devices(pod: PodPlan, container: ContainerPlan, record: Record) -> dict[str, tuple[str, ...]]:
    """The container's share of what its pod was assigned; init containers use the same, before."""
    assigned = record.devices.get(pod.name, {})
    taken: dict[str, tuple[str, ...]] = {}
    for kind, count in container.resources.devices.items():
        before = 0
        if container.kind != "init":
            others = (c for c in pod.containers if c.kind != "init")
            for other in others:
                if other.name == container.name:
                    break
                before += other.resources.devices.get(kind, 0)
        if count:
            taken[kind] = tuple(assigned.get(kind, ())[before : before + count])
    return taken


def _hosts(plan: JobPlan, pod: PodPlan, placement: Placement) -> dict[str, str]:
    known = references(placement.addresses, placement.port)
    hosts: dict[str, str] = {}
    for entry in (*plan.hosts, *pod.host_aliases):
        address = expand_references(entry.address, known)
        for name in entry.names:
            hosts.setdefault(name, address)
    return hosts


def _mounts(
    pod: PodPlan, wanted_mounts: Sequence[MountPlan], host: Host
) -> tuple[tuple[Mount, ...], int | None]:
    """Mounts of the container, and the size of ``/dev/shm`` if a memory volume stands there."""
    volumes = {v.name: v for v in pod.volumes}
    mounts: list[Mount] = []
    shm: int | None = None
    for wanted in wanted_mounts:
        volume = volumes[wanted.volume]
        alone = volume.kind == "memory" and not _shared(pod, volume)
        if alone and wanted.path.rstrip("/") == SHM:
            shm = volume.size or host.memory // 2 or None
            continue
        mounts.append(_mount(pod, volume, wanted, host, in_memory=alone))
    return tuple(mounts), shm


def _mount(pod: PodPlan, volume: VolumePlan, wanted: MountPlan, host: Host, *, in_memory: bool) -> Mount:
    if in_memory:
        return Mount(kind="tmpfs", target=wanted.path, read_only=wanted.read_only, size=volume.size)
    if volume.kind == "host":
        source = str(PurePosixPath(volume.source, wanted.sub_path))
        return Mount(
            kind="bind", target=wanted.path, source=source, read_only=wanted.read_only, root=volume.source
        )
    if volume.kind == "files":
        source = str(PurePosixPath(host.files, pod.name, volume.name, wanted.sub_path))
        return Mount(kind="bind", target=wanted.path, source=source, read_only=True, relabel=True)
    return Mount(
        kind="volume",
        target=wanted.path,
        source=volume_name(pod, volume),
        read_only=wanted.read_only,
        sub_path=wanted.sub_path,
    )


def _default_shm(resources: ResourcePlan, host: Host) -> int | None:
    """``/dev/shm`` for DataLoader workers: what tmpfs takes by default, half of the memory there is.

    A size costs nothing until it is used, and what is used counts towards the memory limit.
    """
    return resources.memory_limit or host.memory // 2 or None


def _host_user(pod: PodPlan) -> tuple[int, int] | None:
    """Who in the containers should be the engine's user on the host: the primary container's user.

    For what it writes into the host's folders, and reads of files that are nobody else's (keys, Secrets). One
    for the whole pod, as its containers share a network. Root needs none: where engines map users at all,
    root in the container is the engine's user.
    """
    security = pod.primary.security
    if not security.run_as_user or pod.host_network or pod.host_pid or pod.host_ipc:
        return None
    if not any(volume.kind == "host" or _private(volume) for volume in pod.volumes):
        return None
    group = security.run_as_group
    return security.run_as_user, security.run_as_user if group is None else group


def _private(volume: VolumePlan) -> bool:
    """Whether files of ours that it holds are closed to others."""
    modes = [volume.default_mode if file.mode is None else file.mode for file in volume.files]
    modes += [volume.default_mode] if volume.all_of else []
    return volume.kind == "files" and any(not mode & 0o004 for mode in modes)


def _shares(resources: ResourcePlan) -> int | None:
    """CPU request to relative weight, as the kubelet does it (1024 a CPU, at least 2)."""
    return max(2, int(resources.cpu_request * 1024)) if resources.cpu_request else None


def _dropped(plan: SecurityPlan) -> tuple[str, ...]:
    """What the manifest drops, and what nobody who trains a model needs, unless it is asked for."""
    added = {capability(name) for name in plan.cap_add}
    dropped = [capability(name) for name in plan.cap_drop]
    if plan.privileged or "ALL" in added or "ALL" in dropped:
        return tuple(dropped)
    return tuple(dict.fromkeys((*dropped, *(name for name in DROPPED if name not in added))))


def _security(plan: SecurityPlan) -> Security:
    user = "" if plan.run_as_user is None else str(plan.run_as_user)
    if plan.run_as_group is not None:
        # Without a user it is the image's in this group, who is known when the image is there.
        user = f"{user}:{plan.run_as_group}"
    groups = list(plan.supplemental_groups)
    if plan.fs_group is not None and plan.fs_group not in groups:
        groups.append(plan.fs_group)
    return Security(
        user=user,
        groups=tuple(str(g) for g in groups),
        privileged=plan.privileged,
        no_new_privileges=not plan.privileged and plan.allow_privilege_escalation is not True,
        read_only_root=plan.read_only_root,
        cap_add=plan.cap_add,
        cap_drop=_dropped(plan),
        seccomp=plan.seccomp,
        apparmor=plan.apparmor,
        selinux=plan.selinux,
        sysctls=plan.sysctls,
    )
