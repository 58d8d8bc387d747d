"""Reads the host for the policy: which folders the settings name, what a path is, every link resolved.

Changes nothing. What can go wrong: a result is true only at the moment of the look-up. :mod:`.enforcer` looks
again when a path is used, and :mod:`.path_pinning` keeps what was checked.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

from reconciler.config.policy import Policy
from reconciler.config.settings import Settings
from reconciler.plan.job_plan import JobPlan
from reconciler.plan.pod.volume_paths import PathKind
from reconciler.plan.policy.host_mounts import AllowedHostPath, HostPaths, PathInfo, is_inside
from reconciler.plan.policy.violations import host_path_mounts
from reconciler.state.atomic_files import read_if_exists


def resolve_host_paths(settings: Settings, policy: Policy, socket: str) -> HostPaths:
    """Returns the folders that the settings and the policy name, resolved.

    ``socket`` is the URL of the engine's; "" where it is not known.
    """
    manifests = _real(settings.specs)
    config = _real(settings.config_file) if settings.config_file is not None else ""
    protected = {
        "the folder of the reconciler's records and secrets": _real(settings.state_dir),
        "the folder of kept logs": _real(settings.log_dir),
    }
    if settings.status_dir is not None:
        protected["the folder of statuses"] = _real(settings.status_dir)
    address = socket or settings.container_host or ""
    if address.startswith("unix://"):
        protected["the engine's socket"] = _real(Path(address.removeprefix("unix://")))
    named = [(each.path, each.read_only) for each in policy.host_paths] + load_client_grants(settings.grants)
    return HostPaths(
        workspace=_workspace(config, manifests),
        manifests=manifests,
        config=config,
        protected=protected,
        allowed=tuple(AllowedHostPath(real=_real(Path(path)), read_only=only) for path, only in named),
    )


def _workspace(config: str, manifests: str) -> str:
    """Returns the folder of ``reconciler.yaml`` if the manifests are in it, else that of the manifests.

    A home folder or the whole file system would be more than a user means by it.
    """
    folder = os.path.dirname(config)  # noqa: PTH120  (resolved already)
    if config and is_inside(manifests, folder) and folder not in {"/", _real(Path.home())}:
        return folder
    return manifests


def inspect_path(path: str) -> PathInfo:
    """Returns what a path of the host is now."""
    try:
        real = os.path.realpath(path, strict=True)
        found = os.stat(real, follow_symlinks=False)  # noqa: PTH116  (the resolved path itself)
    except (FileNotFoundError, NotADirectoryError):
        return PathInfo(real=os.path.realpath(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return PathInfo(real=os.path.abspath(path), error=reason)  # noqa: PTH100
    if stat.S_ISLNK(found.st_mode):
        return PathInfo(real=real, error="it changes while it is looked at")
    return PathInfo(real=real, kind=_kind(found.st_mode), identity=(found.st_dev, found.st_ino))


def inspect_plan_paths(plan: JobPlan) -> dict[tuple[str, str], PathInfo]:
    """Returns what every host path of a plan is now, by path and sub-path."""
    return {
        (path, sub): inspect_path(os.path.join(path, sub) if sub else path)  # noqa: PTH118
        for path, sub in host_path_mounts(plan)
    }


def _kind(mode: int) -> PathKind:
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        return "device"
    return "socket" if stat.S_ISSOCK(mode) else "file"


def load_client_grants(file: Path | None) -> list[tuple[str, bool]]:
    """Returns the host paths that the user's own client names, and whether read-only; none in a daemon."""
    data = read_if_exists(file) if file is not None else None
    if data is None:
        return []
    try:
        return [(str(entry["path"]), bool(entry["readOnly"])) for entry in json.loads(data)]
    except (ValueError, TypeError, KeyError):
        return []


def policy_digest(policy: Policy, host: HostPaths) -> str:
    """Returns a digest that changes when a decision may: a refused job is then checked again."""
    # Records keep digests of this text: the class was named Prefix, and another name would change them all.
    allowed = str(host.allowed).replace(f"{AllowedHostPath.__name__}(", "Prefix(")
    text = f"{policy.model_dump_json()} {host.workspace} {host.manifests} {allowed}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _real(path: Path) -> str:
    return os.path.realpath(path)
