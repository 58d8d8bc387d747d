"""The host as the policy sees it: which folders there are, with every link resolved. Looks, changes nothing.

What can go wrong: everything here is true only at the moment of the look. :mod:`.guarding` looks again, and
holds on to what it has seen, when a path is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

from reconciler.config.policy import Policy
from reconciler.config.settings import Settings
from reconciler.plan.policy.host_mounts import Grounds, PathFacts, PathKind, Prefix, inside
from reconciler.plan.policy.violations import DEFAULT_POLICY
from reconciler.state.atomic_files import read_if_exists


def policy_of(settings: Settings) -> Policy:
    """The policy in force."""
    return settings.policy if settings.policy is not None else DEFAULT_POLICY


def grounds_of(settings: Settings, *, socket: str = "") -> Grounds:
    """The folders that the settings name.

    Args:
        settings: as chosen by the user.
        socket: URL of the engine's socket, if known.
    """
    policy = policy_of(settings)
    manifests = _real(settings.specs)
    config = _real(settings.config_file) if settings.config_file is not None else ""
    kept = {
        "the folder of the reconciler's records and secrets": _real(settings.state_dir),
        "the folder of kept logs": _real(settings.log_dir),
    }
    if settings.status_dir is not None:
        kept["the folder of statuses"] = _real(settings.status_dir)
    address = socket or settings.container_host or ""
    if address.startswith("unix://"):
        kept["the engine's socket"] = _real(Path(address.removeprefix("unix://")))
    given = [Prefix(real=_real(Path(each.path)), read_only=each.read_only) for each in policy.host_paths]
    granted = [Prefix(real=_real(Path(path)), read_only=only) for path, only in grants(settings.grants)]
    return Grounds(
        workspace=_workspace(config, manifests),
        manifests=manifests,
        config=config,
        kept=kept,
        prefixes=(*given, *granted),
    )


def _workspace(config: str, manifests: str) -> str:
    """The folder of ``reconciler.yaml`` if the manifests are in it, else that of the manifests.

    A home folder or the whole file system would be more than anybody means by it.
    """
    folder = os.path.dirname(config)  # noqa: PTH120  (resolved already)
    if config and inside(manifests, folder) and folder not in {"/", _real(Path.home())}:
        return folder
    return manifests


def look(path: str) -> PathFacts:
    """A path of the host as it is now."""
    try:
        real = os.path.realpath(path, strict=True)
        found = os.stat(real, follow_symlinks=False)  # noqa: PTH116  (the very thing)
    except (FileNotFoundError, NotADirectoryError):
        return PathFacts(real=os.path.realpath(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return PathFacts(real=os.path.abspath(path), trouble=reason)  # noqa: PTH100
    if stat.S_ISLNK(found.st_mode):
        return PathFacts(real=real, trouble="it changes while it is looked at")
    return PathFacts(real=real, kind=_kind(found.st_mode), identity=(found.st_dev, found.st_ino))


def _kind(mode: int) -> PathKind:
    if stat.S_ISDIR(mode):
        return "folder"
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        return "device"
    return "socket" if stat.S_ISSOCK(mode) else "file"


def grants(file: Path | None) -> tuple[tuple[str, bool], ...]:
    """Host paths that the user's own client has named, and whether only to be read; none in a daemon."""
    data = read_if_exists(file) if file is not None else None
    if data is None:
        return ()
    try:
        return tuple((str(entry["path"]), bool(entry["readOnly"])) for entry in json.loads(data))
    except (ValueError, TypeError, KeyError):
        return ()


def digest_of(policy: Policy, grounds: Grounds) -> str:
    """Changes when a verdict may: a job that was refused is judged anew then."""
    text = f"{policy.model_dump_json()} {grounds.workspace} {grounds.manifests} {grounds.prefixes}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _real(path: Path) -> str:
    return os.path.realpath(path)
