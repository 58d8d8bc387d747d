"""The policy's model: what manifests may ask for; by default what gives the host away is denied.

Frozen, and without I/O: a plan's violations are a pure function of it. Patterns are shell patterns in which
``*`` does not match a ``/`` and ``**`` does, so that ``registry.example/*`` is not every repository below it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

#: Capabilities that a container may have under any policy: the engines' default set.
DEFAULT_CAPABILITIES: Final = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
        "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip

#: Kernel parameters that stay within the pod: Kubernetes' safe set.
SAFE_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ping_group_range",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_wmem",
    }
)

#: SELinux types that confine as much as the default one does (Kubernetes' baseline).
CONFINED_SELINUX_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})

_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]+)?([KMGTPE]i|[mkMGTPE])?", re.ASCII)
_RANGE: Final = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", re.ASCII)
_LARGEST_ID: Final = 2**32 - 2


def _capability(value: Any) -> Any:
    return normalize_capability(value) if isinstance(value, str) else value


def _quantity(value: Any) -> str:
    text = str(value)
    if isinstance(value, bool) or len(text) > 32 or not _QUANTITY.fullmatch(text):
        raise ValueError("must be a Kubernetes quantity, as in 500m, 8 or 16Gi")
    return text


def _ids(value: Any) -> str:
    text = str(value)
    found = None if isinstance(value, bool) else _RANGE.fullmatch(text)
    if found is None or int(found[2] or found[1]) > _LARGEST_ID or int(found[1]) > int(found[2] or found[1]):
        raise ValueError("must be an id or a range of ids, as in 1000 or 1000-1999")
    return text


def _folder(value: str) -> str:
    if "\0" in value or ".." in value.split("/"):
        raise ValueError("must be a path without '..'")
    return value


Quantity = Annotated[str, BeforeValidator(_quantity)]
Ids = Annotated[str, BeforeValidator(_ids)]
Capability = Annotated[str, BeforeValidator(_capability), Field(min_length=1)]
Text = Annotated[str, Field(min_length=1)]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
    )


def _to_tuple(value: Any) -> Any:
    """Turns the lists of YAML into the frozen model's tuples."""
    return tuple(value) if isinstance(value, list) else value


def _list_of(item: Any) -> Any:
    return Annotated[tuple[item, ...], BeforeValidator(_to_tuple)]


class ImageRules(_Model):
    """Which images may run.

    Attributes:
        allow: patterns of ``registry/repository``, without tag and digest; None: any.
        digest: ``required``: manifests must name images by digest, so that they cannot change.
    """

    allow: _list_of(Text) | None = None  # type: ignore[valid-type]
    digest: Literal["allowed", "required"] = "allowed"


class HostPath(_Model):
    """A folder (with all below it) or file of the host that containers may mount."""

    path: Annotated[str, Field(min_length=1), AfterValidator(_folder)]
    read_only: bool = False


class UserRules(_Model):
    """The users that containers may run as.

    Attributes:
        root: user 0, which most images run as where a manifest names no user.
        ranges: ids ``runAsUser`` may be; None: any. ``groups`` likewise for every group.
    """

    root: bool = True
    ranges: _list_of(Ids) | None = None  # type: ignore[valid-type]
    groups: _list_of(Ids) | None = None  # type: ignore[valid-type]


class JobLimits(_Model):
    """What one job may ask for; None: no limit.

    Attributes:
        nodes: pods of the job, initializers included.
        cpu: CPUs over all its pods; each container then needs a limit. ``memory`` likewise.
        gpus: devices of all classes together.
    """

    nodes: Annotated[int, Field(ge=1)] | None = None
    cpu: Quantity | None = None
    memory: Quantity | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None


class Policy(_Model):
    """What manifests may ask for. The defaults hold where no policy is given.

    Attributes:
        images: which images may run.
        host_paths: paths of the host that may be mounted besides the workspace.
        workspace: the workspace may be mounted; False: only ``host_paths``.
        privileged: containers with the rights of the host's root.
        privilege_escalation: ``allowPrivilegeEscalation: true``, which turns no-new-privileges off.
        capabilities: that may be added to the engines' default set; ``ALL`` for every one.
        devices: patterns of device classes (``nvidia.com/gpu``).
        device_nodes: patterns of device files that may be mounted by hostPath.
        sysctls: patterns of kernel parameters besides the safe ones.
        unconfined: seccomp, AppArmor or SELinux turned off.
        profiles: patterns of the host's seccomp and AppArmor profiles (type ``Localhost``).
        claims: patterns of claims that a job may mount although jobs of another folder created them, or
            although their name reads as one of another namespace.
        maximum: what a job may ask for at once.
    """

    images: ImageRules = ImageRules()
    host_paths: _list_of(HostPath) = ()  # type: ignore[valid-type]
    workspace: bool = True
    privileged: bool = False
    privilege_escalation: bool = True
    capabilities: _list_of(Capability) = ()  # type: ignore[valid-type]
    host_network: bool = False
    host_pid: Annotated[bool, Field(alias="hostPID")] = False
    host_ipc: Annotated[bool, Field(alias="hostIPC")] = False
    devices: _list_of(Text) = ("**",)  # type: ignore[valid-type]
    device_nodes: _list_of(Text) = ()  # type: ignore[valid-type]
    users: UserRules = UserRules()
    sysctls: _list_of(Text) = ()  # type: ignore[valid-type]
    unconfined: bool = False
    profiles: _list_of(Text) = ()  # type: ignore[valid-type]
    claims: _list_of(Text) = ()  # type: ignore[valid-type]
    maximum: JobLimits = JobLimits()


def normalize_capability(name: str) -> str:
    """Returns ``SYS_PTRACE`` for ``CAP_SYS_PTRACE`` and ``sys_ptrace``."""
    return name.upper().removeprefix("CAP_")


def matches_any(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns matches the whole text."""
    return any(_is_match(text, _tokens(pattern)) for pattern in patterns)


def is_in_ranges(identifier: int, ranges: tuple[str, ...]) -> bool:
    """Whether an id is in one of the ranges."""
    bounds = (text.partition("-") for text in ranges)
    return any(int(low) <= identifier <= int(high or low) for low, _, high in bounds)


@cache
def _tokens(pattern: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\*\*|.", re.sub(r"\*{3,}", "**", pattern), re.DOTALL))


def _is_match(text: str, tokens: tuple[str, ...]) -> bool:
    """Matches without backtracking: follows all positions of the pattern that the text so far can lead to.

    Not a regular expression: its backtracking could take hours of the daemon's time for a long name.
    """
    positions = _skip_stars({0}, tokens)
    for letter in text:
        after: set[int] = set()
        for position in positions:
            symbol = tokens[position] if position < len(tokens) else ""
            if symbol == "**" or (symbol == "*" and letter != "/"):
                after.add(position)
            elif symbol == letter or (symbol == "?" and letter != "/"):
                after.add(position + 1)
        positions = _skip_stars(after, tokens)
    return len(tokens) in positions


def _skip_stars(positions: set[int], tokens: tuple[str, ...]) -> set[int]:
    """Adds the positions after stars, which may match nothing."""
    found = set(positions)
    for position in positions:
        while position < len(tokens) and tokens[position] in {"*", "**"}:
            position += 1  # noqa: PLW2901  (continues from there)
            found.add(position)
    return found
