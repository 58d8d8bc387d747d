"""Secrets that a service manager hands over."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config.credentials import credential
from reconciler.errors import ConfigError
from reconciler.sources.git.git_credentials import TOKEN, TOKEN_VARIABLE, read_secret


def test_a_missing_or_blank_one_is_none(tmp_path: Path) -> None:
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "blank").write_text("\n")
    (tmp_path / "there").write_text("x\n")

    assert credential("missing", environ) is None
    assert credential("blank", environ) is None
    assert credential("there", environ) == b"x\n"
    assert credential("there", {}) is None


def test_one_that_cannot_be_a_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "huge").write_bytes(b"x" * (1024 * 1024 + 1))
    (tmp_path / "folder").mkdir()

    for name in ("huge", "folder"):
        with pytest.raises(ConfigError, match=name):
            credential(name, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_blank_git_token_leaves_the_variable_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv(TOKEN_VARIABLE, "from-the-variable")
    (tmp_path / TOKEN).write_text("\n")

    assert read_secret(TOKEN, None, TOKEN_VARIABLE) == "from-the-variable"
