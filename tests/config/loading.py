"""Loads settings as in a process of its own: with these variables and in this folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.config.settings import Settings, load_settings


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    config_file: Path | None = None,
) -> Settings:
    """The settings; by default in a folder without a file, of a user without one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("/" if folder is None else folder)
        for name in tuple(os.environ):
            patch.delenv(name)
        for name, value in {"HOME": "/nowhere", **(environ or {})}.items():
            patch.setenv(name, value)
        return load_settings(flags or {}, config_file=config_file)
