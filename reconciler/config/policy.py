"""The policy as a value: what manifests may ask for, denying by default what gives the host away.

Frozen, and free of I/O: the verdict over a plan is a pure function of it. Patterns are shell patterns in
which ``*`` does not cross a ``/`` and ``**`` does, so that ``registry.example/*`` is not every repository
below it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

#: What a container keeps of root's rights unless the policy lets it ask for more: the engines' default set.
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
CONFINED_TYPES: Final = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})

_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]+)?([KMGTPE]i|[mkMGTPE])?", re.ASCII)
_RANGE: Final = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", re.ASCII)
_LARGEST_ID: Final = 2**32 - 2


def _capability(value: Any) -> Any:
    return capability(value) if isinstance(value, str) else value


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


def _listed(value: Any) -> Any:
    """YAML's lists as the frozen tuples they become."""
    return tuple(value) if isinstance(value, list) else value


def _tuple(item: Any) -> Any:
    return Annotated[tuple[item, ...], BeforeValidator(_listed)]


class Images(_Model):
    """Which images may be run.

    Attributes:
        allow: patterns of ``registry/repository``, tag and digest left off; None: any.
        digest: ``required``: an image must be named by its digest, so that it cannot change.
    """

    allow: _tuple(Text) | None = None  # type: ignore[valid-type]
    digest: Literal["allowed", "required"] = "allowed"


class HostPath(_Model):
    """A folder or file of the host, with all below it, that containers may mount."""

    path: Annotated[str, Field(min_length=1), AfterValidator(_folder)]
    read_only: bool = False


class Users(_Model):
    """As whom containers may run.

    Attributes:
        root: user 0, which is also what most images run as where a manifest names no user.
        ranges: ids ``runAsUser`` may be; None: any. ``groups`` likewise for every group.
    """

    root: bool = True
    ranges: _tuple(Ids) | None = None  # type: ignore[valid-type]
    groups: _tuple(Ids) | None = None  # type: ignore[valid-type]


class Maximum(_Model):
    """What a whole job may ask for at once; None: as much as there is.

    Attributes:
        nodes: pods of the job, initializers included.
        cpu: CPUs over all its pods; each container then needs a limit. ``memory`` likewise.
        gpus: devices of every class together.
    """

    nodes: Annotated[int, Field(ge=1)] | None = None
    cpu: Quantity | None = None
    memory: Quantity | None = None
    gpus: Annotated[int, Field(ge=0)] | None = None


class Policy(_Model):
    """What manifests may ask for. The defaults are what holds where no policy is given.

    Attributes:
        images: which images may be run.
        host_paths: what of the host may be mounted besides the workspace.
        workspace: the workspace may be mounted; False: only ``host_paths``.
        privileged: containers that may do what root of the host may.
        privilege_escalation: ``allowPrivilegeEscalation: true``, which switches no-new-privileges off.
        capabilities: that may be added beside the engines' default set; ``ALL`` for every one.
        devices: patterns of device classes (``nvidia.com/gpu``).
        device_nodes: patterns of device files that may be mounted by hostPath.
        sysctls: patterns of kernel parameters besides the safe ones.
        unconfined: seccomp, AppArmor or SELinux switched off.
        profiles: patterns of the host's seccomp and AppArmor profiles (type ``Localhost``).
        claims: patterns of claims that a job may mount although another folder's jobs made them, or
            although their name reads as one of another namespace.
        maximum: what a job may ask for at once.
    """

    images: Images = Images()
    host_paths: _tuple(HostPath) = ()  # type: ignore[valid-type]
    workspace: bool = True
    privileged: bool = False
    privilege_escalation: bool = True
    capabilities: _tuple(Capability) = ()  # type: ignore[valid-type]
    host_network: Annotated[bool, Field(alias="hostNetwork")] = False
    host_pid: Annotated[bool, Field(alias="hostPID")] = False
    host_ipc: Annotated[bool, Field(alias="hostIPC")] = False
    devices: _tuple(Text) = ("**",)  # type: ignore[valid-type]
    device_nodes: _tuple(Text) = ()  # type: ignore[valid-type]
    users: Users = Users()
    sysctls: _tuple(Text) = ()  # type: ignore[valid-type]
    unconfined: bool = False
    profiles: _tuple(Text) = ()  # type: ignore[valid-type]
    claims: _tuple(Text) = ()  # type: ignore[valid-type]
    maximum: Maximum = Maximum()

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_default(cls, data: Any) -> Any:
        """``policy:`` with nothing below it is the default."""
        return {} if data is None else data


def capability(name: str) -> str:
    """``CAP_SYS_PTRACE`` and ``sys_ptrace`` as ``SYS_PTRACE``."""
    return name.upper().removeprefix("CAP_")


def matches(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns is about ``text`` as a whole."""
    return any(_is_match(text, _tokens(pattern)) for pattern in patterns)


def within(identifier: int, ranges: tuple[str, ...]) -> bool:
    """Whether an id is in one of the ranges."""
    for text in ranges:
        low, _, high = text.partition("-")
        if int(low) <= identifier <= int(high or low):
            return True
    return False


@cache
def _tokens(pattern: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\*\*|.", re.sub(r"\*{3,}", "**", pattern), re.DOTALL))


def _is_match(text: str, tokens: tuple[str, ...]) -> bool:
    """Step by step with every place in the pattern that the text so far may have led to.

    Not a regular expression: one that goes back would let a long name take hours of the daemon's time.
    """
    places = _past_stars({0}, tokens)
    for letter in text:
        after: set[int] = set()
        for place in places:
            sign = tokens[place] if place < len(tokens) else ""
            if sign == "**" or (sign == "*" and letter != "/"):
                after.add(place)
            elif sign == letter or (sign == "?" and letter != "/"):
                after.add(place + 1)
        places = _past_stars(after, tokens)
    return len(tokens) in places


def _past_stars(places: set[int], tokens: tuple[str, ...]) -> set[int]:
    """A star may stand for nothing."""
    found = set(places)
    for place in places:
        while place < len(tokens) and tokens[place] in {"*", "**"}:
            place += 1  # noqa: PLW2901  (walks on from there)
            found.add(place)
    return found
