"""Paths inside a volume: they must stay there.

Kubernetes refuses absolute paths and ``..`` in the files of a volume and in sub-paths, and keys of
ConfigMaps that are no file names. Here the same text would otherwise lead out of a folder on the host.
"""

from __future__ import annotations

import re
from typing import Final

from reconciler.errors import PlanError

_KEY: Final = re.compile(r"^[-._a-zA-Z0-9]+$")


def inside(path: str, *, what: str) -> str:
    """``path``, unless it leads out of its volume.

    Args:
        path: relative to the volume's root.
        what: whose path it is, for the message.

    Raises:
        PlanError: it is absolute, or has a ``..`` in it.
    """
    if path.startswith("/") or ".." in path.split("/"):
        raise PlanError(
            f"The path {path!r} of {what} leads out of the volume.",
            path="spec.runtimeRef",
            remedy="Use a relative path without '..'.",
        )
    return path


def file_name(key: str, *, what: str) -> str:
    """``key`` as the name of a file.

    Raises:
        PlanError: Kubernetes would not take it for a key.
    """
    if not _KEY.match(key) or key in (".", ".."):
        raise PlanError(
            f"The key {key!r} of {what} cannot be a file's name.",
            path="spec",
            remedy="Use letters, digits, '-', '_' and '.'.",
        )
    return key
