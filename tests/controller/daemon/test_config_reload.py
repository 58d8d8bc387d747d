"""Which settings a reload changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.config.settings import Settings
from reconciler.controller.daemon.config_reload import FIXED_SETTINGS, merge_settings


def test_fixed_settings_keep_their_value_until_a_restart() -> None:
    old = Settings(specs=Path("/jobs"))
    new = replace(old, max_jobs=2, auto_remove=False, engine="docker", state_dir=Path("/elsewhere"))

    found = merge_settings(old, new)

    assert found.settings == replace(old, max_jobs=2, auto_remove=False)
    assert found.changed == ("auto-remove: true -> false", "max-jobs: none -> 2")
    assert found.need_restart == ("engine: auto -> docker", f"state-dir: {old.state_dir} -> /elsewhere")


def test_equal_settings_change_nothing() -> None:
    old = Settings(specs=Path("/jobs"))

    assert merge_settings(old, replace(old)).settings == old
    assert not merge_settings(old, replace(old)).changed


def test_every_fixed_setting_exists() -> None:
    assert set(Settings.__dataclass_fields__) >= FIXED_SETTINGS
