"""The user's base folders, as the XDG Base Directory Specification names them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def xdg_folder(variable: str, fallback: str, environ: Mapping[str, str] | None = None) -> Path:
    """Returns a base folder; a relative value is ignored, as the specification says.

    Args:
        variable: ``XDG_STATE_HOME`` and the like.
        fallback: below the home folder, ``.local/state``.
        environ: None: the process's own.
    """
    environ = os.environ if environ is None else environ
    value = environ.get(variable, "")
    if value.startswith("/"):
        return Path(value)
    home = environ.get("HOME", "")
    return (Path(home) if home else Path.home()) / fallback
