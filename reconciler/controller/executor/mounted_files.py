"""Files that containers mount: ConfigMap and Secret volumes, hostfiles, keys, written for the engine to bind.

They live under ``<state>/files/<instance>/<namespace>/<job>/`` (0700), are written anew before every launch
and go with the job's containers. What can go wrong: a missing Secret (``PlanError``, the job waits for it), a
full disk (``StateError``).
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from reconciler.errors import StateError
from reconciler.plan.expansion import references
from reconciler.plan.job_plan import PodPlan, VolumePlan
from reconciler.plan.resolver import Lookup, resolve_files
from reconciler.state.atomic_files import read_if_exists, write_atomically

#: What Kubernetes adds to the mode of a file that it gives to ``fsGroup``.
GROUP_READS: Final = 0o440

SecretMaker = Callable[[], Mapping[str, bytes]]


def write_volumes(
    root: Path,
    pod: PodPlan,
    *,
    addresses: Mapping[tuple[str, int], str],
    port: int,
    lookup: Lookup,
) -> None:
    """Write every ``files`` volume of one pod below ``root``.

    Raises:
        PlanError: a Secret, ConfigMap or key is not there.
        StateError: the disk refuses.
    """
    known = references(addresses, port)
    for volume in pod.volumes:
        if volume.kind == "files":
            _write_volume(root / pod.name / volume.name, pod, volume, known=known, lookup=lookup)


def _write_volume(
    folder: Path, pod: PodPlan, volume: VolumePlan, *, known: Mapping[str, str], lookup: Lookup
) -> None:
    files = resolve_files(volume, known=known, lookup=lookup)
    group = _group(pod)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, (content, mode) in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # In place where only the content differs: the containers that run have the inode mounted.
            # Written anew before every launch, so the disk need not have it for good.
            write_atomically(target, content, mode=_mode(mode, group), durable=False)
            if group is not None and os.geteuid() == 0:
                os.chown(target, 0, group)
    except OSError as error:
        raise StateError(f"Cannot write {folder}: {error.strerror}.") from error


def _mode(mode: int, group: int | None) -> int:
    """A file's mode: ``fsGroup`` may read it, as on a cluster.

    Where nobody can give it to that group, a private one is its owner's alone: the container's user is its
    owner there (``host_user``), and ssh takes no key that a group may read.
    """
    if group is None:
        return mode
    if os.geteuid() == 0:
        return mode | GROUP_READS
    return mode if mode & 0o007 else mode & 0o700


def _group(pod: PodPlan) -> int | None:
    """``fsGroup``: the group that may read the files (Kubernetes chowns such volumes to it)."""
    return next((c.security.fs_group for c in pod.containers if c.security.fs_group is not None), None)


def remove_files(root: Path) -> None:
    """Remove a job's files; none there is no error."""
    shutil.rmtree(root, ignore_errors=True)


class GeneratedSecrets:
    """Secrets that this daemon makes for a job (ssh keys), once per job, kept until it is deleted.

    Args:
        root: ``<state>/secrets/<instance>``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()

    def ensure(self, namespace: str, job: str, name: str, make: SecretMaker) -> Mapping[str, bytes]:
        """The secret's data, made and stored if it is not there yet."""
        path = self._root / namespace / job / f"{name}.json"
        with self._lock:
            stored = read_if_exists(path)
            if stored is not None:
                return {k: v.encode("latin-1") for k, v in json.loads(stored).items()}
            data = make()
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            text = json.dumps({k: v.decode("latin-1") for k, v in data.items()})
            write_atomically(path, text.encode(), mode=0o600)
            return data

    def remove(self, namespace: str, job: str) -> None:
        """Forget the secrets of a deleted job."""
        shutil.rmtree(self._root / namespace / job, ignore_errors=True)
