"""Pod templates."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reconciler.api.models.base import Flag, Int32, Int64, ListMap, Model, ResourceList, StringMap
from reconciler.api.models.core import scheduling
from reconciler.api.models.core.container import Container, EphemeralContainer, ResourceRequirements
from reconciler.api.models.core.security_context import PodSecurityContext
from reconciler.api.models.core.volume import Volume
from reconciler.api.models.metadata import EmbeddedMetadata, LocalObjectReference


class PodDNSConfigOption(Model):
    """One resolver option."""

    name: str | None = None
    value: str | None = None


class PodDNSConfig(Model):
    """Name servers, search domains and resolver options."""

    nameservers: tuple[str, ...] = ()
    options: tuple[PodDNSConfigOption, ...] = ()
    searches: tuple[str, ...] = ()


class HostAlias(Model):
    """A line of ``/etc/hosts``."""

    ip: str
    hostnames: tuple[str, ...] = ()


class PodOS(Model):
    """The pod's operating system; no effect on one host."""

    name: str


class PodSpec(Model):
    """The containers of a pod, and what they share."""

    containers: Annotated[tuple[Container, ...], ListMap("name")]
    active_deadline_seconds: Int64 | None = None
    affinity: scheduling.Affinity | None = None
    automount_service_account_token: Flag | None = None
    dns_config: PodDNSConfig | None = None
    dns_policy: str | None = None
    enable_service_links: Flag | None = None
    ephemeral_containers: Annotated[tuple[EphemeralContainer, ...], ListMap("name")] = ()
    host_aliases: Annotated[tuple[HostAlias, ...], ListMap("ip")] = ()
    host_ipc: Flag | None = None
    host_network: Flag | None = None
    host_pid: Flag | None = None
    host_users: Flag | None = None
    hostname: str | None = None
    hostname_override: str | None = None
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], ListMap("name")] = ()
    init_containers: Annotated[tuple[Container, ...], ListMap("name")] = ()
    node_name: str | None = None
    node_selector: StringMap = Field(default_factory=dict)
    os: PodOS | None = None
    overhead: ResourceList = Field(default_factory=dict)
    preemption_policy: str | None = None
    priority: Int32 | None = None
    priority_class_name: str | None = None
    readiness_gates: tuple[scheduling.PodReadinessGate, ...] = ()
    resource_claims: Annotated[tuple[scheduling.PodResourceClaim, ...], ListMap("name")] = ()
    resources: ResourceRequirements | None = None
    restart_policy: str | None = None
    runtime_class_name: str | None = None
    scheduler_name: str | None = None
    scheduling_gates: Annotated[tuple[scheduling.PodSchedulingGate, ...], ListMap("name")] = ()
    scheduling_group: scheduling.PodSchedulingGroup | None = None
    security_context: PodSecurityContext | None = None
    service_account: str | None = None
    service_account_name: str | None = None
    set_hostname_as_fqdn: Flag | None = None
    share_process_namespace: Flag | None = None
    subdomain: str | None = None
    termination_grace_period_seconds: Int64 | None = None
    tolerations: tuple[scheduling.Toleration, ...] = ()
    topology_spread_constraints: Annotated[
        tuple[scheduling.TopologySpreadConstraint, ...], ListMap("topology_key", "when_unsatisfiable")
    ] = ()
    volumes: Annotated[tuple[Volume, ...], ListMap("name")] = ()


class PodTemplateSpec(Model):
    """A pod with its labels and annotations."""

    metadata: EmbeddedMetadata | None = None
    spec: PodSpec | None = None
