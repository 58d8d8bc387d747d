"""Secrets that a service manager passes as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config.credentials import read_credential
from reconciler.errors import ConfigError
from reconciler.sources.git.git_credentials import TOKEN_CREDENTIAL, TOKEN_VARIABLE, read_secret


def test_a_missing_or_blank_credential_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "blank").write_text("\n")
    (tmp_path / "there").write_text("x\n")

    assert read_credential("missing") is None
    assert read_credential("blank") is None
    assert read_credential("there") == b"x\n"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    assert read_credential("there") is None


def test_a_folder_or_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "huge").write_bytes(b"x" * (1024 * 1024 + 1))
    (tmp_path / "folder").mkdir()

    for name in ("huge", "folder"):
        with pytest.raises(ConfigError, match=name):
            read_credential(name)


def test_a_blank_git_token_does_not_hide_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    monkeypatch.setenv(TOKEN_VARIABLE, "from-the-variable")
    (tmp_path / TOKEN_CREDENTIAL).write_text("\n")

    assert read_secret(TOKEN_CREDENTIAL, None, TOKEN_VARIABLE) == "from-the-variable"
