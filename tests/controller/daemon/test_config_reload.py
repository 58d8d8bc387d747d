"""Which settings a reload changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.config.settings import Settings
from reconciler.controller.daemon.config_reload import FIXED, reloaded


def test_what_can_change_does_and_what_cannot_is_refused() -> None:
    old = Settings(specs=Path("/jobs"))
    new = replace(old, max_jobs=2, auto_remove=False, engine="docker", state_dir=Path("/elsewhere"))

    found = reloaded(old, new)

    assert found.settings == replace(old, max_jobs=2, auto_remove=False)
    assert found.changed == ("auto-remove: true -> false", "max-jobs: none -> 2")
    assert found.refused == ("engine: auto -> docker", f"state-dir: {old.state_dir} -> /elsewhere")


def test_nothing_new_changes_nothing() -> None:
    old = Settings(specs=Path("/jobs"))

    assert reloaded(old, replace(old)).settings == old
    assert not reloaded(old, replace(old)).changed


def test_every_fixed_setting_is_one() -> None:
    assert set(Settings.__dataclass_fields__) >= FIXED
