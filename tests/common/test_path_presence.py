"""Asking whether something is at a path cannot fail, and "nobody knows" is not "there is none"."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.common.path_presence import is_absent, is_folder, is_present


def test_what_is_there_is_present(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert (is_present(tmp_path), is_folder(tmp_path), is_absent(tmp_path)) == (True, True, False)
    file = tmp_path / "file"
    assert (is_present(file), is_folder(file), is_absent(file)) == (True, False, False)


@pytest.mark.parametrize("name", ["none", "none/below"])
def test_what_is_not_there_is_absent(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    assert (is_present(path), is_folder(path), is_absent(path)) == (False, False, True)


@pytest.mark.parametrize("name", ["loop", "x" * 300, "zero\0byte", "d/" * 3000])
def test_what_cannot_be_looked_at_is_neither(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    path = f"{tmp_path}/{name}"

    assert (is_present(path), is_folder(path), is_absent(path)) == (False, False, False)
