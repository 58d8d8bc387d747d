"""Whether a path of the host may be mounted. Pure: paths have been looked at, and come as :class:`PathFacts`.

Asked twice: of the plan, and again right before a mount is used, when what a ``subPathExpr`` names is known
and a path may have changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from reconciler.config.policy import Policy, matches

PathKind = Literal["folder", "file", "device", "socket", "missing"]

#: What a hostPath of a type has to be.
HOST_TYPES: Final[Mapping[str, PathKind]] = {
    "Directory": "folder",
    "DirectoryOrCreate": "folder",
    "File": "file",
    "FileOrCreate": "file",
    "Socket": "socket",
    "CharDevice": "device",
    "BlockDevice": "device",
}


@dataclass(frozen=True, kw_only=True)
class PathFacts:
    """A path of the host as it was found.

    Attributes:
        real: with every link resolved; of what is missing, as far as there is anything.
        identity: device and inode; None where there is nothing.
        trouble: why it cannot be resolved; "" when it can.
    """

    real: str
    kind: PathKind = "missing"
    identity: tuple[int, int] | None = None
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """Something that may be mounted with all below it; ``real`` with links resolved."""

    real: str
    read_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Grounds:
    """The host as the policy sees it; all paths with links resolved.

    Attributes:
        workspace: what may be mounted by default; "" for nothing.
        manifests: the specs folder: containers only read it.
        config: the file that the policy is in: likewise; "" for none.
        kept: what no container may see, by what it is (the state folder, the engine's socket).
        prefixes: of the policy's ``hostPaths``, and what the user's own client named.
    """

    workspace: str = ""
    manifests: str = ""
    config: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)
    prefixes: tuple[Prefix, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """Of one mount: refused, or allowed and then perhaps only to be read."""

    refusal: tuple[str, str, str] | None = None
    read_only: bool = False


def rule_on_mount(
    whole: PathFacts, used: PathFacts, policy: Policy, grounds: Grounds, *, shown: str, writes: bool
) -> Ruling:
    """Whether a path of the host may be mounted.

    Args:
        whole: the volume's path.
        used: what of it is mounted, which is the same where there is no sub-path.
        policy: in force.
        grounds: the host as the policy sees it.
        shown: the path as the manifest has it.
        writes: the manifest does not ask for it read-only.
    """
    path = used.real
    name = shown if shown == path else f"{shown}, which is {path},"
    for facts in (whole, used):
        if facts.trouble:
            return _refuse(
                "policy.hostPaths", f"{shown} cannot be looked at: {facts.trouble}", "Mend the path."
            )
    if not inside(path, whole.real):
        return _refuse(
            "policy.hostPaths",
            f"the subPath of {shown} leads out of the volume by a link, to {path}",
            "Remove the link.",
        )
    if used.kind == "device":
        if matches(path, policy.device_nodes):
            return Ruling()
        remedy = f"Leave it out, or add {path} to `deviceNodes` of the policy."
        return _refuse("policy.deviceNodes", f"{name} is a device", remedy)
    named = [p for p in grounds.prefixes if inside(path, p.real)]
    for what, kept in grounds.kept.items():
        own_ground = inside(grounds.workspace, kept) and inside(path, grounds.workspace)
        touches = inside(path, kept) or inside(kept, path)
        if touches and not own_ground and not any(inside(p.real, kept) for p in named):
            relation = "is" if path == kept else "is in" if inside(path, kept) else "holds"
            message = f"{name} {relation} {what}, which no container may see"
            return _refuse("policy.hostPaths", message, "Mount another folder.")
    return _rule_on_area(path, named, policy, grounds, name=name, writes=writes)


def _rule_on_area(
    path: str, named: list[Prefix], policy: Policy, grounds: Grounds, *, name: str, writes: bool
) -> Ruling:
    areas = list(named)
    if policy.workspace and grounds.workspace and inside(path, grounds.workspace):
        areas.append(Prefix(real=grounds.workspace))
    if not areas:
        remedy = f"Put it into the workspace{_there(grounds)}, or add it to `hostPaths` of the policy."
        return _refuse("policy.hostPaths", f"{name} is outside of what may be mounted", remedy)
    area = max(areas, key=lambda prefix: len(prefix.real))
    for what, guarded in (("the manifests", grounds.manifests), ("the policy", grounds.config)):
        if writes and guarded and inside(guarded, path) and path != guarded and not area.read_only:
            remedy = "Mount a folder beside it, or say readOnly: true in the volumeMount."
            return _refuse("policy.hostPaths", f"{name} holds {what}, which no container may write", remedy)
    only_read = any(
        guarded and inside(path, guarded) and not inside(area.real, guarded) for guarded in (grounds.config,)
    )
    # A folder of manifests that the policy names itself is named on purpose.
    manifests = bool(grounds.manifests) and inside(path, grounds.manifests)
    named_there = any(inside(prefix.real, grounds.manifests) for prefix in named)
    only_read = only_read or (manifests and not named_there)
    return Ruling(read_only=area.read_only or only_read)


def _there(grounds: Grounds) -> str:
    return f" ({grounds.workspace})" if grounds.workspace else ""


def inside(path: str, folder: str) -> bool:
    """Whether a resolved path is the folder or below it."""
    if not folder:
        return False
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _refuse(rule: str, message: str, remedy: str) -> Ruling:
    return Ruling(refusal=(rule, message, remedy))
