"""The shapes of answers that only Docker has: listings, networks, what it says of itself."""

from __future__ import annotations

from typing import (
    Annotated,
    Final,
    Required,  # pydantic wants this one before Python 3.12
)

from pydantic import StringConstraints
from typing_extensions import TypedDict

from reconciler.engines.http.calls.answer_shapes import (
    Address,
    Identifier,
    LabelMap,
    Number,
    Seconds,
    Shape,
    Subnet,
    Word,
)
from reconciler.engines.http.calls.object_answers import NetworkSettingsAnswer, VolumeAnswer


class ListedAnswer(TypedDict, total=False):
    """A container of a listing."""

    Id: Required[Identifier]
    State: Required[Word]
    Names: list[str] | None
    Labels: LabelMap
    Created: Seconds | None
    NetworkSettings: NetworkSettingsAnswer | None


class SubnetAnswer(TypedDict, total=False):
    """A subnet of a network."""

    Subnet: Subnet
    Gateway: Address


class IpamConfigAnswer(TypedDict, total=False):
    """The subnets of a network."""

    Config: list[SubnetAnswer] | None


class NetworkAnswer(TypedDict, total=False):
    """A network."""

    Id: Required[Identifier]
    Name: Required[Word]
    Labels: LabelMap
    IPAM: IpamConfigAnswer | None


class CreatedNetworkAnswer(TypedDict, total=False):
    """A network that was created."""

    Id: Required[Identifier]


class VolumesAnswer(TypedDict, total=False):
    """A listing of volumes."""

    Volumes: Required[list[VolumeAnswer] | None]


class InfoAnswer(TypedDict, total=False):
    """What Docker says of itself and of its host."""

    ServerVersion: Required[Word]
    SecurityOptions: list[str] | None
    NCPU: Number | None
    MemTotal: Number | None
    CgroupVersion: str
    MemoryLimit: bool
    CpuCfsQuota: bool
    CPUSet: bool
    PidsLimit: bool
    Driver: str
    DockerRootDir: str
    CDISpecDirs: list[str] | None


class VersionAnswer(TypedDict, total=False):
    """The version of the API."""

    ApiVersion: Required[Annotated[str, StringConstraints(pattern=r"^\d{1,3}\.\d{1,4}$")]]


CONTAINERS: Final = Shape[list[ListedAnswer]](list[ListedAnswer])
NETWORK: Final = Shape[NetworkAnswer](NetworkAnswer)
NETWORKS: Final = Shape[list[NetworkAnswer]](list[NetworkAnswer])
CREATED_NETWORK: Final = Shape[CreatedNetworkAnswer](CreatedNetworkAnswer)
VOLUMES: Final = Shape[VolumesAnswer](VolumesAnswer)
INFO: Final = Shape[InfoAnswer](InfoAnswer)
VERSION: Final = Shape[VersionAnswer](VersionAnswer)
