"""Variables from a file, read more than once."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config.environment_file import EnvironmentFile
from reconciler.errors import ConfigError


def file(path: Path, text: str, **environ: str) -> EnvironmentFile:
    path.write_text(text)
    return EnvironmentFile(path=path, environ=environ)


def test_lines_comments_and_quotes_are_parsed(tmp_path: Path) -> None:
    text = "# one\n; two\n\nA=1\nB = no name has a blank\n"
    with pytest.raises(ConfigError, match=r"x\.env:5: this line is not of the form NAME=value"):
        file(tmp_path / "x.env", text).apply()

    one = file(tmp_path / "x.env", 'A= 1 \nB="a \\"b\\" $C"\nC=\'d # e\'\nD=\nE=f=g\n')
    one.apply()

    assert dict(one.environ) == {"A": "1", "B": 'a "b" $C', "C": "d # e", "D": "", "E": "f=g"}


def test_variables_of_the_process_win(tmp_path: Path) -> None:
    one = file(tmp_path / "x.env", "A=file\nB=file\n", A="process")
    one.apply()
    one.apply()

    assert dict(one.environ) == {"A": "process", "B": "file"}


def test_variables_removed_from_the_file_are_unset_and_undo_restores_them(tmp_path: Path) -> None:
    one = file(tmp_path / "x.env", "A=1\nB=1\n", OTHER="x")
    one.apply()
    (tmp_path / "x.env").write_text("B=2\nC=2\n")

    undo = one.apply()
    assert dict(one.environ) == {"B": "2", "C": "2", "OTHER": "x"}
    undo()
    assert dict(one.environ) == {"A": "1", "B": "1", "OTHER": "x"}
    one.apply()
    assert dict(one.environ) == {"B": "2", "C": "2", "OTHER": "x"}


@pytest.mark.parametrize("text", ['A="x', "A='", "just words", "1A=x"])
def test_a_malformed_line_is_reported_and_changes_nothing(tmp_path: Path, text: str) -> None:
    one = file(tmp_path / "x.env", "B=1\n")
    one.apply()
    (tmp_path / "x.env").write_text(f"B=2\n{text}\n")

    with pytest.raises(ConfigError, match=r"x\.env:2: "):
        one.apply()

    assert dict(one.environ) == {"B": "1"}


def test_a_missing_file_is_an_error_unless_optional(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--env-file=-"):
        EnvironmentFile.from_option(str(tmp_path / "none")).apply()

    one = EnvironmentFile.from_option(f"-{tmp_path / 'none'}")
    one.environ = {}
    one.apply()
    assert dict(one.environ) == {}


def test_an_error_about_a_variable_is_given_its_place_in_the_file(tmp_path: Path) -> None:
    one = file(tmp_path / "x.env", "\nRECONCILER_RESYNC=soon\n")
    one.apply()

    located = one.locate(ConfigError("RECONCILER_RESYNC: 'soon' is no time.", remedy="Try 30s."))
    other = one.locate(ConfigError("RECONCILER_ENGINE: 'x' is none."))

    assert located.message == f"{tmp_path}/x.env:2: RECONCILER_RESYNC: 'soon' is no time."
    assert located.remedy == "Try 30s."
    assert other.message == "RECONCILER_ENGINE: 'x' is none."
