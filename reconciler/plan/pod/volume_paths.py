"""Paths of volumes: which types a hostPath may have, and that a path inside a volume stays inside.

Kubernetes rejects absolute paths and ``..`` in the files of a volume and in sub-paths, and keys of
ConfigMaps that are no file names. Here such a path would lead out of a folder on the host.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from reconciler.errors import PlanError

PathKind = Literal["folder", "file", "device", "socket", "missing"]

#: What the host must have at a hostPath, by the volume's ``type``.
HOST_PATH_TYPES: Final[Mapping[str, PathKind]] = {
    "Directory": "folder",
    "DirectoryOrCreate": "folder",
    "File": "file",
    "FileOrCreate": "file",
    "Socket": "socket",
    "CharDevice": "device",
    "BlockDevice": "device",
}
_KEY: Final = re.compile(r"^[-._a-zA-Z0-9]+$")


def validate_path(path: str, *, what: str) -> str:
    """Returns ``path`` if it stays inside its volume.

    Args:
        path: relative to the volume's root.
        what: whose path it is, for the message.

    Raises:
        PlanError: it is absolute or contains ``..``.
    """
    if path.startswith("/") or ".." in path.split("/"):
        raise PlanError(
            f"The path {path!r} of {what} leads out of the volume.",
            path="spec.runtimeRef",
            remedy="Use a relative path without '..'.",
        )
    return path


def validate_key(key: str, *, what: str) -> str:
    """Returns ``key`` if it can be the name of a file.

    Raises:
        PlanError: Kubernetes would not accept it as a key.
    """
    if not _KEY.match(key) or key in (".", ".."):
        raise PlanError(
            f"The key {key!r} of {what} cannot be a file's name.",
            path="spec",
            remedy="Use letters, digits, '-', '_' and '.'.",
        )
    return key
