"""The user's base folders, as the XDG Base Directory Specification names them."""

from __future__ import annotations

import os
from pathlib import Path


def xdg_folder(variable: str, fallback: str) -> Path:
    """Returns a base folder; a relative value is ignored, as the specification says.

    Args:
        variable: ``XDG_STATE_HOME`` and the like.
        fallback: below the home folder, ``.local/state``.
    """
    value = os.environ.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    return Path.home() / fallback
