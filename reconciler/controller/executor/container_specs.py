"""Builds the engine's specification of a planned container. Pure: addresses and secrets are arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.controller.executor.container_mounts import build_mounts, default_shm_size
from reconciler.controller.executor.container_security import build_security, host_user
from reconciler.controller.executor.placement import Placement, object_labels
from reconciler.engines.specs import ContainerSpec
from reconciler.names import (
    KEY_PREFIX,
    LABEL_ATTEMPT,
    LABEL_CONTAINER,
    LABEL_DEVICES,
    LABEL_INDEX,
    LABEL_KIND,
    LABEL_RANK,
    LABEL_RESTART,
    LABEL_SPEC_HASH,
    LABEL_STEP,
)
from reconciler.plan.expansion import expand_references, reference_values
from reconciler.plan.job_plan import ContainerPlan, JobPlan, PodPlan, ResourcePlan
from reconciler.plan.resolver import Lookup, resolve_container
from reconciler.state.record import Record

#: Tells the script which attempt it is, from 0: above 0 it should look for a checkpoint.
ATTEMPT_VARIABLE = "RECONCILER_ATTEMPT"


def build_container_spec(
    plan: JobPlan,
    pod: PodPlan,
    container: ContainerPlan,
    *,
    record: Record,
    placement: Placement,
    lookup: Lookup,
) -> ContainerSpec:
    """Everything the engine needs to create one container.

    Raises:
        PlanError: a Secret, ConfigMap or key that it needs does not exist.
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
    owner = pod.network_owner.name
    owner_result = record.container(owner).result
    # An owner that has succeeded has left the address: a container that restarts after it takes it over.
    shares = pod.joins_network(container.name) and (owner_result is None or not owner_result.succeeded)
    joined = owner if shares and not pod.host_network else ""
    network = "" if pod.host_network or joined else placement.network.name
    devices = _devices(pod, container, record)
    mounts, shm = build_mounts(pod, resolved.mounts, placement.host)
    resources = container.resources
    return ContainerSpec(
        name=container.name,
        image=container.image,
        labels=_labels(pod, container, record, placement, devices),
        entrypoint=resolved.command,
        command=resolved.args,
        env={ATTEMPT_VARIABLE: str(record.attempt)} | dict(resolved.env),
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
        cpu_shares=_cpu_shares(resources),
        memory_limit=resources.memory_limit,
        memory_reservation=resources.memory_request,
        shm_size=None if pod.host_ipc else shm or default_shm_size(resources, placement.host),
        devices=devices,
        ports=container.ports,
        host_user=host_user(pod),
        security=build_security(container.security),
        stop_grace=pod.termination_grace,
        tty=container.tty,
        stdin=container.stdin,
    )


def _labels(
    pod: PodPlan,
    container: ContainerPlan,
    record: Record,
    placement: Placement,
    devices: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    own = object_labels(record, placement.host) | {
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
    # The daemon believes labels under its own prefix, so a manifest may not set any.
    return {key: value for key, value in pod.labels.items() if not key.startswith(KEY_PREFIX)} | own


def _devices(pod: PodPlan, container: ContainerPlan, record: Record) -> dict[str, tuple[str, ...]]:
    """The container's share of its pod's devices; init containers, which run before, use the same ones."""
    assigned = record.devices.get(pod.name, {})
    shares: dict[str, tuple[str, ...]] = {}
    for kind, count in container.resources.devices.items():
        before = 0
        if container.kind != "init":
            for other in (c for c in pod.containers if c.kind != "init"):
                if other.name == container.name:
                    break
                before += other.resources.devices.get(kind, 0)
        if count:
            shares[kind] = tuple(assigned.get(kind, ())[before : before + count])
    return shares


def _hosts(plan: JobPlan, pod: PodPlan, placement: Placement) -> dict[str, str]:
    """Entries of ``/etc/hosts``; the first one of a name wins."""
    values = reference_values(placement.addresses, placement.port)
    hosts: dict[str, str] = {}
    for entry in (*plan.hosts, *pod.host_aliases):
        address = expand_references(entry.address, values)
        for name in entry.names:
            hosts.setdefault(name, address)
    return hosts


def _cpu_shares(resources: ResourcePlan) -> int | None:
    """CPU request to relative weight, as the kubelet does it (1024 a CPU, at least 2)."""
    return max(2, int(resources.cpu_request * 1024)) if resources.cpu_request else None
