"""The shapes of answers that only Podman has: listings, networks, what it says of itself."""

from __future__ import annotations

from typing import (
    Final,
    Required,  # pydantic wants this one before Python 3.12
)

from typing_extensions import TypedDict

from reconciler.engines.http.calls.answer_shapes import (
    Address,
    Identifier,
    LabelMap,
    Number,
    Seconds,
    Shape,
    Subnet,
    Time,
    Word,
)
from reconciler.engines.http.calls.object_answers import VolumeAnswer


class ListedAnswer(TypedDict, total=False):
    """A container of a listing."""

    Id: Required[Identifier]
    State: Required[Word]
    Names: Required[list[str]]
    Labels: LabelMap
    #: Text, of older versions a number.
    Created: Time | Seconds | None
    StartedAt: Required[Seconds]
    ExitedAt: Seconds
    ExitCode: Number


class SubnetAnswer(TypedDict, total=False):
    """A subnet of a network."""

    subnet: Required[Subnet]
    gateway: Address


class NetworkAnswer(TypedDict, total=False):
    """A network."""

    name: Required[Word]
    id: str
    labels: LabelMap
    subnets: list[SubnetAnswer] | None
    dns_enabled: bool


class MappingAnswer(TypedDict, total=False):
    """A range of subordinate ids."""

    size: Number


class MappingsAnswer(TypedDict, total=False):
    """The subordinate ids of Podman's user."""

    uidmap: list[MappingAnswer] | None


class SecurityAnswer(TypedDict, total=False):
    """The rights of Podman's user."""

    rootless: Required[bool]


class HostAnswer(TypedDict, total=False):
    """Podman's host."""

    security: Required[SecurityAnswer]
    cpus: Number
    memTotal: Number
    cgroupVersion: str
    cgroupControllers: list[str] | None
    networkBackend: str
    idMappings: MappingsAnswer | None


class StoreAnswer(TypedDict, total=False):
    """Where images and containers are."""

    graphDriverName: str
    graphRoot: str
    runRoot: str


class VersionAnswer(TypedDict, total=False):
    """The version of Podman."""

    Version: Required[Word]


class InfoAnswer(TypedDict, total=False):
    """What Podman says of itself and of its host."""

    host: Required[HostAnswer]
    version: Required[VersionAnswer]
    store: StoreAnswer | None


CONTAINERS: Final = Shape[list[ListedAnswer]](list[ListedAnswer])
NETWORK: Final = Shape[NetworkAnswer](NetworkAnswer)
NETWORKS: Final = Shape[list[NetworkAnswer]](list[NetworkAnswer])
VOLUMES: Final = Shape[list[VolumeAnswer]](list[VolumeAnswer])
INFO: Final = Shape[InfoAnswer](InfoAnswer)
