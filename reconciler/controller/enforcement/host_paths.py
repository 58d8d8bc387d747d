"""Reads the host for the policy: which folders the settings name, what a path is, every link resolved.

Changes nothing. What can go wrong: a result is true only at the moment of the look-up. :mod:`.enforcer` looks
again when a path is used, and :mod:`.path_pinning` keeps what was checked. A file system may not answer: a
path of the policy's there allows nothing meanwhile, and a job that mounts one waits
(:class:`HostPathUnansweredError`); nobody else does.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from reconciler.common.host_looks import LOOKS, ResolvedPath, UnansweredError
from reconciler.common.os_errors import reason_of
from reconciler.config.policy import Policy
from reconciler.config.settings import Settings
from reconciler.errors import StateError
from reconciler.plan.job_plan import JobPlan
from reconciler.plan.pod.volume_paths import PathKind
from reconciler.plan.policy.host_mounts import AllowedHostPath, HostPaths, PathInfo, is_inside
from reconciler.plan.policy.violations import host_path_mounts
from reconciler.state.atomic_files import read_if_exists


class HostPathUnansweredError(StateError):
    """The file system of a path does not answer: what depends on it waits, and is tried again."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"The path {path} cannot be looked at: its file system does not answer.",
            remedy="It is tried again; see to the server or the program that the file system depends on.",
        )


def resolve_host_paths(settings: Settings, policy: Policy, socket: str) -> HostPaths:
    """Returns the folders that the settings and the policy name, resolved.

    ``socket`` is the URL of the engine's; "" where it is not known.

    Raises:
        HostPathUnansweredError: one of the settings' is on a file system that does not answer.
    """
    own: dict[str, Path] = {
        "": settings.specs,
        "the folder of the reconciler's records and secrets": settings.state_dir,
        "the folder of kept logs": settings.log_dir,
    }
    if settings.status_dir is not None:
        own["the folder of statuses"] = settings.status_dir
    address = socket or settings.container_host or ""
    if address.startswith("unix://"):
        own["the engine's socket"] = Path(address.removeprefix("unix://"))
    named = [(each.path, each.read_only) for each in policy.host_paths] + load_client_grants(settings.grants)
    config = [] if settings.config_file is None else [settings.config_file]
    found = LOOKS.resolve([str(path) for path in (*own.values(), *config)])
    real = [_require_answer(each).real for each in found]
    protected = dict(zip(own, real, strict=False))
    manifests = protected.pop("")
    config_file = real[-1] if config else ""
    # The home folder is only compared, and what is allowed there is allowed when it answers again.
    home, *others = LOOKS.resolve([str(Path.home()), *(path for path, _ in named)])
    allowed = zip(others, named, strict=True)
    return HostPaths(
        workspace=_workspace(config_file, manifests, home.real),
        manifests=manifests,
        config=config_file,
        protected=protected,
        allowed=tuple(
            AllowedHostPath(real=path.real, read_only=only)
            for path, (_, only) in allowed
            if not isinstance(path.error, UnansweredError)
        ),
    )


def _require_answer(path: ResolvedPath) -> ResolvedPath:
    if isinstance(path.error, UnansweredError):
        raise HostPathUnansweredError(path.real)
    return path


def _workspace(config: str, manifests: str, home: str) -> str:
    """Returns the folder of ``reconciler.yaml`` if the manifests are in it, else that of the manifests.

    A home folder or the whole file system would be more than a user means by it.
    """
    folder = os.path.dirname(config)  # noqa: PTH120  (resolved already)
    if config and is_inside(manifests, folder) and folder not in {"/", home}:
        return folder
    return manifests


def inspect_path(path: str) -> PathInfo:
    """Returns what a path of the host is now.

    Raises:
        HostPathUnansweredError: its file system does not answer.
    """
    return _path_info(_require_answer(LOOKS.resolve([path])[0]))


def inspect_plan_paths(plan: JobPlan) -> dict[tuple[str, str], PathInfo]:
    """Returns what every host path of a plan is now, by path and sub-path."""
    mounts = sorted(host_path_mounts(plan))
    paths = [os.path.join(path, sub) if sub else path for path, sub in mounts]  # noqa: PTH118
    return dict(zip(mounts, map(_path_info, LOOKS.resolve(paths)), strict=True))


def require_answers(paths: Iterable[PathInfo]) -> None:
    """Checks that all paths could be looked at.

    Raises:
        HostPathUnansweredError: one is on a file system that does not answer.
    """
    for path in paths:
        if path.unanswered:
            raise HostPathUnansweredError(path.real)


def _path_info(path: ResolvedPath) -> PathInfo:
    if path.error is not None:
        unanswered = isinstance(path.error, UnansweredError)
        return PathInfo(real=path.real, error=reason_of(path.error), unanswered=unanswered)
    facts = path.facts
    if facts is None:
        return PathInfo(real=path.real)
    if stat.S_ISLNK(facts.st_mode):
        return PathInfo(real=path.real, error="it changes while it is looked at")
    return PathInfo(real=path.real, kind=_kind(facts.st_mode), identity=(facts.st_dev, facts.st_ino))


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
