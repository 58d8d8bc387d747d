"""The man page says what the commands say, and is well-formed for both readers there are."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from reconciler.cli.main import COMMANDS
from reconciler.config.settings import OPTIONS
from tests.packaging.builds import ROOT

PAGE = ROOT / "man" / "reconciler.1"


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "generate_man.py", "--check"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, f"run scripts/generate_man.py: {done.stdout}{done.stderr}"


def test_every_command_and_setting_is_told_of() -> None:
    text = PAGE.read_text()

    for command in COMMANDS:
        assert rf"\fBreconciler {command}" in text
    for option in OPTIONS:
        assert rf"\fB\-\-{option.flag}".replace("-", r"\-").replace(r"\\-", r"\-") in text
        assert option.variable in text


@pytest.mark.parametrize(
    "checker",
    [["mandoc", "-T", "lint", "-W", "style"], ["groff", "-man", "-ww", "-z"]],
    ids=["mandoc", "groff"],
)
def test_the_page_is_well_formed(checker: list[str]) -> None:
    if shutil.which(checker[0]) is None:
        pytest.skip(f"{checker[0]} is not installed")

    done = subprocess.run([*checker, PAGE], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("", "")
