"""The command that runs a function, executed by a real bash."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.client.client_errors import FunctionSourceError
from reconciler.client.constants import constants
from reconciler.client.manifests.function_command import MAX_ARGUMENT_LENGTH, build_function_command
from reconciler.client.manifests.function_source import FunctionProgram, build_program

PIP = """#!/bin/sh
case "$*" in "-m pip"*) ;; *) exec {python} "$@" ;; esac
printf '%s\\n' "$@" >> {log}
case "$*" in *--user*) exit {user} ;; *) echo "no such package"; exit {system} ;; esac
"""


def shell_characters() -> None:
    """Everything that a shell would expand: $HOME `id` $(id) \\n \\\\ 'single' "double" !x *"""
    import sys  # noqa: PLC0415  (as a training function must)

    text = "$HOME `id` $(id) ${PATH} \\n 'single' \"double\" \\\\ {braces} %s"
    print(text)
    print(shell_characters.__doc__)
    sys.exit(5)


def run(command: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def build(program: FunctionProgram, *packages: str, index_urls: tuple[str, ...] = ()) -> list[str]:
    return build_function_command(
        constants.DEFAULT_COMMAND, program, packages=packages, index_urls=index_urls
    )


def test_shell_does_not_expand_the_users_code(tmp_path: Path) -> None:
    done = run(build(build_program(shell_characters, None)), tmp_path)

    assert done.returncode == 5
    assert done.stdout.splitlines() == [
        "$HOME `id` $(id) ${PATH} \\n 'single' \"double\" \\\\ {braces} %s",
        str(shell_characters.__doc__),
    ]
    assert done.stderr == ""


def test_line_equal_to_the_delimiter_does_not_end_the_code(tmp_path: Path) -> None:
    program = FunctionProgram(code='text = """\nEOM\nEOM_\n"""\nprint(len(text))\n', file_name="train.py")

    assert run(build(program), tmp_path).stdout == "10\n"


@pytest.mark.parametrize(
    ("template", "last"),
    [
        (constants.TORCH_COMMAND, 'torchrun "train.py"'),
        (constants.DEFAULT_COMMAND, 'python "train.py"'),
        (constants.MPI_COMMAND, 'python "/home/mpiuser/train.py"'),
    ],
)
def test_command_has_the_form_of_the_sdks(template: tuple[str, ...], last: str) -> None:
    program = FunctionProgram(code="pass\n", file_name="train.py")
    command = build_function_command(template, program, packages=(), index_urls=())

    assert command[: len(template) - 1] == list(template[:-1])
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
    program = FunctionProgram(code="print('ran')\n", file_name="train.py")
    command = build(
        program, "torch>=2", "transformers[torch]", index_urls=("https://a/simple", "https://b/simple")
    )

    done = run(command, tmp_path, **_with_pip(tmp_path, user=0, system=1))

    output = "Successfully installed Python packages (user): torch>=2 transformers[torch]\nran\n"
    assert (done.returncode, done.stdout) == (0, output)
    options = (
        "--quiet --no-warn-script-location --index-url https://a/simple --extra-index-url https://b/simple"
    )
    arguments = " ".join((tmp_path / "pip").read_text().split())
    assert arguments == f"-m pip install {options} --user torch>=2 transformers[torch]"


def test_packages_are_installed_system_wide_where_the_user_cannot(tmp_path: Path) -> None:
    done = run(
        build(FunctionProgram(code="print('ran')\n", file_name="t.py"), "x"),
        tmp_path,
        **_with_pip(tmp_path, user=1, system=0),
    )

    assert done.stdout == "Successfully installed Python packages (system-wide): x\nran\n"


def test_failed_installation_ends_the_node_with_pips_output(tmp_path: Path) -> None:
    done = run(
        build(FunctionProgram(code="print('ran')\n", file_name="t.py"), "x; touch hacked"),
        tmp_path,
        **_with_pip(tmp_path, user=1, system=1),
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert "ERROR: Failed to install Python packages: x; touch hacked\nno such package\n" in done.stderr
    assert not (tmp_path / "hacked").exists()


def test_function_longer_than_an_argument_is_refused() -> None:
    with pytest.raises(FunctionSourceError, match=f"Linux passes {MAX_ARGUMENT_LENGTH}"):
        build(FunctionProgram(code="x = 1\n" * 30_000, file_name="train.py"))


def test_longest_accepted_function_runs(tmp_path: Path) -> None:
    frame = len(build(FunctionProgram(code="", file_name="train.py"))[-1])
    code = "x = 1\n" * ((MAX_ARGUMENT_LENGTH - frame - 9) // 6) + "print(x)\n"

    assert run(build(FunctionProgram(code=code, file_name="train.py")), tmp_path).stdout == "1\n"
