"""Whether a path of the host may be mounted. Pure: the host has been looked at before, see :class:`PathInfo`.

Asked twice: for the plan, and again right before a mount is used, when a ``subPathExpr`` is expanded and a
path may have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from reconciler.config.policy import Policy, matches_any
from reconciler.plan.pod.volume_paths import PathKind

_RULE: Final = "policy.hostPaths"


@dataclass(frozen=True, kw_only=True)
class PathInfo:
    """A path of the host as it was found.

    Attributes:
        real: the path with every link resolved; of a missing one, as far as it exists.
        identity: device and inode; None where nothing is there.
        error: why it cannot be resolved; "" where it can.
        unanswered: it cannot for now: its file system does not answer.
    """

    real: str
    kind: PathKind = "missing"
    identity: tuple[int, int] | None = None
    error: str = ""
    unanswered: bool = False


@dataclass(frozen=True, kw_only=True)
class AllowedHostPath:
    """A path that may be mounted with all below it; ``real`` is the path with links resolved."""

    real: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class HostPaths:
    """The host's paths that matter to the policy, with every link resolved.

    Attributes:
        workspace: may be mounted by default; "" is none.
        manifests: the specs folder, which containers may only read.
        config: the file that has the policy, which containers may only read; "" is none.
        protected: paths that no container may see, by description (the state folder, the engine's socket).
        allowed: the policy's ``hostPaths``, and those that the user's own client named.
    """

    workspace: str = ""
    manifests: str = ""
    config: str = ""
    protected: Mapping[str, str] = field(default_factory=dict)
    allowed: tuple[AllowedHostPath, ...] = ()


class Denial(NamedTuple):
    """Why a mount is denied: the policy's key, a message and what to do."""

    rule: str
    message: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class MountDecision:
    """A mount is denied, or allowed; ``read_only``: allowed only read-only."""

    denial: Denial | None = None
    read_only: bool = False


def check_mount(
    volume: PathInfo,
    mounted: PathInfo,
    policy: Policy,
    host: HostPaths,
    *,
    manifest_path: str,
    writable: bool,
) -> MountDecision:
    """Decides whether a path of the host may be mounted.

    Args:
        volume: the volume's path.
        mounted: the part of it that is mounted; the same path where there is no sub-path.
        policy: in force.
        host: the host's paths that matter.
        manifest_path: ``mounted`` as the manifest has it.
        writable: the manifest does not ask for a read-only mount.
    """
    path = mounted.real
    name = manifest_path if manifest_path == path else f"{manifest_path}, which is {path},"
    for info in (volume, mounted):
        if info.error:
            return _deny(_RULE, f"{manifest_path} cannot be looked at: {info.error}", "Mend the path.")
    if not is_inside(path, volume.real):
        message = f"the subPath of {manifest_path} leads out of the volume by a link, to {path}"
        return _deny(_RULE, message, "Remove the link.")
    if mounted.kind == "device":
        if matches_any(path, policy.device_nodes):
            return MountDecision()
        remedy = f"Leave it out, or add {path} to `deviceNodes` of the policy."
        return _deny("policy.deviceNodes", f"{name} is a device", remedy)
    allowed = [entry for entry in host.allowed if is_inside(path, entry.real)]
    for description, protected in host.protected.items():
        in_workspace = is_inside(host.workspace, protected) and is_inside(path, host.workspace)
        touches = is_inside(path, protected) or is_inside(protected, path)
        if touches and not in_workspace and not any(is_inside(entry.real, protected) for entry in allowed):
            relation = "is" if path == protected else "is in" if is_inside(path, protected) else "holds"
            message = f"{name} {relation} {description}, which no container may see"
            return _deny(_RULE, message, "Mount another folder.")
    return _check_allowed(path, allowed, policy, host, name=name, writable=writable)


def _check_allowed(
    path: str, allowed: list[AllowedHostPath], policy: Policy, host: HostPaths, *, name: str, writable: bool
) -> MountDecision:
    """Decides by the allowed paths that contain ``path``, and by the workspace."""
    candidates = list(allowed)
    if policy.workspace and is_inside(path, host.workspace):
        candidates.append(AllowedHostPath(real=host.workspace))
    if not candidates:
        workspace = f" ({host.workspace})" if host.workspace else ""
        remedy = f"Put it into the workspace{workspace}, or add it to `hostPaths` of the policy."
        return _deny(_RULE, f"{name} is outside of what may be mounted", remedy)
    nearest = max(candidates, key=lambda entry: len(entry.real))
    for description, file in (("the manifests", host.manifests), ("the policy", host.config)):
        if writable and is_inside(file, path) and path != file and not nearest.read_only:
            remedy = "Mount a folder beside it, or say readOnly: true in the volumeMount."
            return _deny(_RULE, f"{name} holds {description}, which no container may write", remedy)
    in_config = is_inside(path, host.config) and not is_inside(nearest.real, host.config)
    # A folder of manifests that the policy allows by name is writable on purpose.
    in_manifests = is_inside(path, host.manifests) and not any(
        is_inside(entry.real, host.manifests) for entry in allowed
    )
    return MountDecision(read_only=nearest.read_only or in_config or in_manifests)


def is_inside(path: str, folder: str) -> bool:
    """Whether a resolved path is the folder or below it; nothing is inside ""."""
    return bool(folder) and (path == folder or path.startswith(folder.rstrip("/") + "/"))


def _deny(rule: str, message: str, remedy: str) -> MountDecision:
    return MountDecision(denial=Denial(rule, message, remedy))
