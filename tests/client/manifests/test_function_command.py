"""The command that runs a function, run by a real bash."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.client.client_errors import FunctionNotShippable
from reconciler.client.constants import constants
from reconciler.client.manifests.function_command import LONGEST_ARGUMENT, function_command
from reconciler.client.manifests.function_source import Shipped, ship

PIP = """#!/bin/sh
case "$*" in "-m pip"*) ;; *) exec {python} "$@" ;; esac
printf '%s\\n' "$@" >> {log}
case "$*" in *--user*) exit {user} ;; *) echo "no such package"; exit {system} ;; esac
"""


def greedy() -> None:
    """Everything a shell would touch, left alone: $HOME `id` $(id) \\n \\\\ 'single' "double" !x *"""
    import sys  # noqa: PLC0415  (as a shipped function must)

    text = "$HOME `id` $(id) ${PATH} \\n 'single' \"double\" \\\\ {braces} %s"
    print(text)
    print(greedy.__doc__)
    sys.exit(5)


def run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def plain(shipped: Shipped, *packages: str, indexes: tuple[str, ...] = ()) -> list[str]:
    return function_command(constants.DEFAULT_COMMAND, shipped, packages=packages, indexes=indexes)


def test_the_shell_leaves_the_users_code_alone(tmp_path: Path) -> None:
    done = run(plain(ship(greedy, None)), tmp_path)

    assert done.returncode == 5
    assert done.stdout.splitlines() == [
        "$HOME `id` $(id) ${PATH} \\n 'single' \"double\" \\\\ {braces} %s",
        str(greedy.__doc__),
    ]
    assert done.stderr == ""


def test_a_line_like_the_delimiter_does_not_end_the_code(tmp_path: Path) -> None:
    shipped = Shipped(code='text = """\nEOM\nEOM_\n"""\nprint(len(text))\n', file="train.py")

    assert run(plain(shipped), tmp_path).stdout == "10\n"


@pytest.mark.parametrize(
    ("shape", "last"),
    [
        (constants.TORCH_COMMAND, 'torchrun "train.py"'),
        (constants.DEFAULT_COMMAND, 'python "train.py"'),
        (constants.MPI_COMMAND, 'python "/home/mpiuser/train.py"'),
    ],
)
def test_the_command_has_the_shape_of_the_sdks(shape: tuple[str, ...], last: str) -> None:
    command = function_command(shape, Shipped(code="pass\n", file="train.py"), packages=(), indexes=())

    assert command[: len(shape) - 1] == list(shape[:-1])
    assert command[-3:-1] == ["bash", "-c"]
    lines = command[-1].splitlines()
    assert lines[1] == "read -r -d '' SCRIPT << 'EOM'"
    assert lines[-2].startswith('printf "%s" "$SCRIPT" > "')
    assert lines[-1] == last


def _with_pip(folder: Path, *, user: int, system: int) -> dict[str, str]:
    tools = folder / "tools"
    tools.mkdir()
    for name in ("python", "pip"):
        tool = tools / name
        tool.write_text(
            PIP.format(
                python=os.path.realpath("/usr/bin/python3"), log=folder / "pip", user=user, system=system
            )
        )
        tool.chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}"}


def test_packages_are_installed_before_the_function_runs(tmp_path: Path) -> None:
    shipped = Shipped(code="print('ran')\n", file="train.py")
    command = plain(
        shipped, "torch>=2", "transformers[torch]", indexes=("https://a/simple", "https://b/simple")
    )

    done = run(command, tmp_path, **_with_pip(tmp_path, user=0, system=1))

    said = "Successfully installed Python packages (user): torch>=2 transformers[torch]\nran\n"
    assert (done.returncode, done.stdout) == (0, said)
    options = (
        "--quiet --no-warn-script-location --index-url https://a/simple --extra-index-url https://b/simple"
    )
    asked = " ".join((tmp_path / "pip").read_text().split())
    assert asked == f"-m pip install {options} --user torch>=2 transformers[torch]"


def test_packages_are_installed_for_all_where_they_cannot_be_for_the_user(tmp_path: Path) -> None:
    done = run(
        plain(Shipped(code="print('ran')\n", file="t.py"), "x"),
        tmp_path,
        **_with_pip(tmp_path, user=1, system=0),
    )

    assert done.stdout == "Successfully installed Python packages (system-wide): x\nran\n"


def test_packages_that_cannot_be_installed_end_the_node_with_pips_words(tmp_path: Path) -> None:
    done = run(
        plain(Shipped(code="print('ran')\n", file="t.py"), "x; touch hacked"),
        tmp_path,
        **_with_pip(tmp_path, user=1, system=1),
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert "ERROR: Failed to install Python packages: x; touch hacked\nno such package\n" in done.stderr
    assert not (tmp_path / "hacked").exists()


def test_a_function_too_long_for_an_argument_is_refused() -> None:
    with pytest.raises(FunctionNotShippable, match=f"Linux passes {LONGEST_ARGUMENT}"):
        plain(Shipped(code="x = 1\n" * 30_000, file="train.py"))


def test_the_longest_that_is_accepted_can_be_run(tmp_path: Path) -> None:
    frame = len(plain(Shipped(code="", file="train.py"))[-1])
    code = "x = 1\n" * ((LONGEST_ARGUMENT - frame - 9) // 6) + "print(x)\n"

    assert run(plain(Shipped(code=code, file="train.py")), tmp_path).stdout == "1\n"
