"""The shapes of answers that Podman and Docker share: containers, volumes, images, commands that are run.

A field that is read stands here; what is not here is left out of the answer. Engines write null for an
empty list or map, and older ones lack what came later: only what they all send, and what decides something,
is required.
"""

from __future__ import annotations

from typing import Any, Final, Required

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from reconciler.engines.http.calls.answer_shapes import Identifier, LabelMap, Number, Shape, Time, Word


class StateAnswer(TypedDict, total=False):
    """``State`` of an inspect."""

    Status: Required[Word]
    ExitCode: Required[Number]
    OOMKilled: Required[bool]
    StartedAt: Required[Time]
    FinishedAt: Required[Time]
    Error: str | None
    Pid: Number
    ConmonPid: Number


class ConfigAnswer(TypedDict, total=False):
    """``Config`` of an inspect, of a container or an image."""

    Labels: LabelMap
    Tty: bool
    User: str | None


class DeviceAnswer(TypedDict, total=False):
    """A device of the host in a container."""

    PathOnHost: str
    PathInContainer: str


class DeviceRequestAnswer(TypedDict, total=False):
    """A device that Docker was asked for by name."""

    DeviceIDs: list[str] | None


class LogConfigAnswer(TypedDict, total=False):
    """Where the output goes."""

    Type: str
    Path: str


class HostConfigAnswer(TypedDict, total=False):
    """``HostConfig`` of an inspect."""

    Memory: Number | None
    ShmSize: Number | None
    CpuQuota: Number | None
    CpuPeriod: Number | None
    NanoCpus: Number | None
    Tmpfs: dict[str, str] | None
    Privileged: bool
    SecurityOpt: list[str] | None
    CapAdd: list[str] | None
    CapDrop: list[str] | None
    ReadonlyRootfs: bool
    PidMode: str
    IpcMode: str
    NetworkMode: str
    Devices: list[DeviceAnswer] | None
    DeviceRequests: list[DeviceRequestAnswer] | None
    LogConfig: LogConfigAnswer | None


class MountAnswer(TypedDict, total=False):
    """A mount of a container."""

    Destination: Required[str]
    Source: str
    RW: bool


class IpamAnswer(TypedDict, total=False):
    """The address that was asked for."""

    IPv4Address: str | None


class EndpointAnswer(TypedDict, total=False):
    """A container on a network."""

    IPAddress: str | None
    IPAMConfig: IpamAnswer | None


class NetworkSettingsAnswer(TypedDict, total=False):
    """The networks of a container."""

    Networks: dict[str, EndpointAnswer | None] | None


class ContainerAnswer(TypedDict, total=False):
    """An inspect of a container."""

    Id: Required[Identifier]
    Name: Required[Word]
    State: Required[StateAnswer]
    Config: Required[ConfigAnswer]
    Created: Required[Time]
    HostConfig: HostConfigAnswer | None
    Mounts: list[MountAnswer] | None
    NetworkSettings: NetworkSettingsAnswer | None
    PidFile: str
    LogPath: str


class CreatedAnswer(TypedDict, total=False):
    """A container that was created."""

    Id: Required[Identifier]
    Warnings: list[str] | None


class VolumeAnswer(TypedDict, total=False):
    """A volume."""

    Name: Required[Word]
    Mountpoint: Required[str]
    Labels: LabelMap
    Options: dict[str, str] | None


class ImageAnswer(TypedDict, total=False):
    """An image."""

    Id: Required[Word]
    Config: ConfigAnswer | None


class ExecAnswer(TypedDict, total=False):
    """A command that is to be run in a container."""

    Id: Required[Identifier]


class ExecStateAnswer(TypedDict, total=False):
    """A command that was run in a container."""

    ExitCode: Required[Number | None]
    Running: Required[bool]


class RemovalAnswer(TypedDict, total=False):
    """How the removal of one of several objects went; some versions of Podman encode an error as ``{}``."""

    Err: Any


class ActorAnswer(TypedDict, total=False):
    """What an event is about."""

    ID: str
    Attributes: dict[str, str] | None


class EventAnswer(TypedDict, total=False):
    """An event."""

    Type: Required[str]
    Action: str
    status: str | None
    Actor: ActorAnswer | None


class LayerAnswer(TypedDict, total=False):
    """How far a layer has come."""

    current: Number | None
    total: Number | None


class PullAnswer(TypedDict, total=False):
    """A line about a pull."""

    error: str | None
    id: str | None
    status: str | None
    stream: str | None
    progressDetail: LayerAnswer | None


CONTAINER: Final = Shape[ContainerAnswer](ContainerAnswer)
CREATED: Final = Shape[CreatedAnswer](CreatedAnswer)
VOLUME: Final = Shape[VolumeAnswer](VolumeAnswer)
IMAGE: Final = Shape[ImageAnswer](ImageAnswer)
EXEC: Final = Shape[ExecAnswer](ExecAnswer)
EXEC_STATE: Final = Shape[ExecStateAnswer](ExecStateAnswer)
#: Docker, and older Podman, answer a removal with nothing.
REMOVALS: Final = Shape[list[RemovalAnswer] | None](list[RemovalAnswer] | None)
EVENT: Final = Shape[EventAnswer](EventAnswer)
PULL: Final = Shape[PullAnswer](PullAnswer)
