"""Host paths that the client's calls name: a client may mount what its user may read.

A daemon's policy decides about the manifests of a folder, whoever wrote them. A controller inside the client
works for the user who calls it: so the host paths in its calls (``file://`` of an initializer, a volume of an
option) are stored in the user's own state folder, and allowed by controllers inside clients. A daemon reads
no grants.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.state.atomic_files import read_if_exists, write_atomically


def grants_file(state_dir: Path, instance: str) -> Path:
    """Returns the file with the paths of a folder's clients."""
    return state_dir / "grants" / f"{instance}.json"


def add_grants(file: Path, documents: Iterable[Mapping[str, Any]]) -> None:
    """Adds every hostPath of the documents to the file.

    Raises:
        StateError: the file cannot be read or written.
    """
    named = [volume for document in documents for volume in _host_volumes(document)]
    if not named:
        return
    known = json.loads(read_if_exists(file) or b"[]")
    added = [entry for entry in named if entry not in known]
    if added:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(file, json.dumps([*known, *added]).encode(), mode=0o600)


def _host_volumes(value: Any) -> Iterator[dict[str, Any]]:
    """Yields ``{"path", "readOnly"}`` for every hostPath of a pod, by how the pod mounts it."""
    if isinstance(value, list):
        for item in value:
            yield from _host_volumes(item)
    if not isinstance(value, Mapping):
        return
    volumes = value.get("volumes")
    for volume in volumes if isinstance(volumes, list) else ():
        path = (volume.get("hostPath") or {}).get("path") if isinstance(volume, Mapping) else None
        if isinstance(path, str):
            yield {"path": path, "readOnly": not _is_written(value, volume.get("name"))}
    for inner in value.values():
        yield from _host_volumes(inner)


def _is_written(pod: Mapping[str, Any], name: Any) -> bool:
    containers = [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]
    mounts = [m for c in containers for m in c.get("volumeMounts") or () if m.get("name") == name]
    return any(not mount.get("readOnly") for mount in mounts)
