"""Files that containers mount: ConfigMap and Secret volumes, hostfiles, keys, written for the engine to bind.

They live under ``<state>/files/<instance>/<namespace>/<job>/`` (0700), are written again before every launch
and removed with the job's containers. What can go wrong: a missing Secret (``PlanError``, the job waits for
it), a full disk (``StateError``).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler.controller.executor.placement import Placement
from reconciler.errors import StateError
from reconciler.plan.expansion import reference_values
from reconciler.plan.job_plan import PodPlan, VolumePlan
from reconciler.plan.resolver import Lookup, LookupValues, resolve_files
from reconciler.state.atomic_files import write_atomically

#: What Kubernetes adds to the mode of a file that it gives to ``fsGroup``.
GROUP_READS: Final = 0o440


def write_volumes(root: Path, pod: PodPlan, placement: Placement, lookup: Lookup) -> None:
    """Write every ``files`` volume of one pod below ``root``.

    Raises:
        PlanError: a Secret, ConfigMap or key does not exist.
        StateError: the disk refuses.
    """
    values = reference_values(placement.addresses, placement.port)
    for volume in pod.volumes:
        if volume.kind == "files":
            _write_volume(root / pod.name / volume.name, pod, volume, values=values, lookup=lookup)


def remove_files(root: Path) -> None:
    """Remove a job's files, if it has any."""
    shutil.rmtree(root, ignore_errors=True)


def _write_volume(
    folder: Path, pod: PodPlan, volume: VolumePlan, *, values: Mapping[str, str], lookup: Lookup
) -> None:
    files = resolve_files(volume, references=values, values=LookupValues(lookup))
    group = _fs_group(pod)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, (content, mode) in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            # In place where only the content differs: running containers have the inode mounted.
            # Not synced: the file is written again before every launch.
            write_atomically(target, content, mode=_file_mode(mode, group), durable=False)
            if group is not None and os.geteuid() == 0:
                os.chown(target, 0, group)
    except OSError as error:
        raise StateError(f"Cannot write {folder}: {error.strerror}.") from error


def _file_mode(mode: int, group: int | None) -> int:
    """A file's mode: ``fsGroup`` may read it, as on a cluster.

    Where the daemon cannot give it to that group, a private file is its owner's alone: the container's user
    is its owner there (``host_user``), and ssh accepts no key that a group may read.
    """
    if group is None:
        return mode
    if os.geteuid() == 0:
        return mode | GROUP_READS
    return mode if mode & 0o007 else mode & 0o700


def _fs_group(pod: PodPlan) -> int | None:
    """``fsGroup``: the group that may read the files (Kubernetes chowns such volumes to it)."""
    return next((c.security.fs_group for c in pod.containers if c.security.fs_group is not None), None)
