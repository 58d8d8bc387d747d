"""Containers, their resources, ports and mounts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reconciler.api.models.base import Flag, Int32, ListMap, ListSet, Model, ResourceList
from reconciler.api.models.core.environment import EnvFromSource, EnvVar
from reconciler.api.models.core.probe import Lifecycle, Probe
from reconciler.api.models.core.security_context import SecurityContext


class ContainerPort(Model):
    """A port that the container listens on; informational."""

    container_port: Int32
    name: str | None = None
    host_ip: str | None = None
    host_port: Int32 | None = None
    protocol: str = "TCP"


class ContainerResizePolicy(Model):
    """What a resize of a resource does to the container."""

    resource_name: str
    restart_policy: str


class ResourceClaim(Model):
    """A dynamic resource used by the container."""

    name: str
    request: str | None = None


class ResourceRequirements(Model):
    """Requests and limits, by resource name."""

    claims: Annotated[tuple[ResourceClaim, ...], ListMap("name")] = ()
    limits: ResourceList = Field(default_factory=dict)
    requests: ResourceList = Field(default_factory=dict)


class ContainerRestartRuleOnExitCodes(Model):
    """Exit codes of a restart rule."""

    operator: str
    values: Annotated[tuple[Int32, ...], ListSet()] = ()


class ContainerRestartRule(Model):
    """When to restart a container, by its exit code."""

    action: str
    exit_codes: ContainerRestartRuleOnExitCodes | None = None


class VolumeDevice(Model):
    """A block device of a volume in the container."""

    name: str
    device_path: str


class VolumeMount(Model):
    """A volume of the pod at a path in the container."""

    name: str
    mount_path: str
    mount_propagation: str | None = None
    read_only: Flag | None = None
    recursive_read_only: str | None = None
    sub_path: str | None = None
    sub_path_expr: str | None = None


class Container(Model):
    """One container of a pod template."""

    name: str
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Annotated[tuple[EnvVar, ...], ListMap("name")] = ()
    env_from: tuple[EnvFromSource, ...] = ()
    image: str | None = None
    image_pull_policy: str | None = None
    lifecycle: Lifecycle | None = None
    liveness_probe: Probe | None = None
    ports: Annotated[tuple[ContainerPort, ...], ListMap("container_port", "protocol")] = ()
    readiness_probe: Probe | None = None
    resize_policy: tuple[ContainerResizePolicy, ...] = ()
    resources: ResourceRequirements | None = None
    restart_policy: str | None = None
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()
    security_context: SecurityContext | None = None
    startup_probe: Probe | None = None
    stdin: Flag | None = None
    stdin_once: Flag | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
    tty: Flag | None = None
    volume_devices: Annotated[tuple[VolumeDevice, ...], ListMap("device_path")] = ()
    volume_mounts: Annotated[tuple[VolumeMount, ...], ListMap("mount_path")] = ()
    working_dir: str | None = None


class EphemeralContainer(Container):
    """A container for debugging, added to a running pod; no effect in a template."""

    target_container_name: str | None = None
