"""Completion in the shells themselves: the printed script, sourced, asked for words."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.samples import trainjob, write
from tests.support.workspaces import ROOT

BASH = """\
eval "$(reconciler completion bash)"
complete -p reconciler >/dev/null || exit 9
COMP_WORDS=({words}) COMP_CWORD={place}
_reconciler_completion reconciler
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = """\
reconciler completion fish | source
complete -C '{line}'
"""
#: zsh's own completion functions need a terminal; what they are given is printed instead.
ZSH = """\
compdef() {{ :; }}
_describe() {{ print -l -- "${{(@P)3}}"; }}
compadd() {{ print -l -- "${{(@P)@[-1]}}"; }}
eval "$(reconciler completion zsh)"
words=({words}) CURRENT={next}
_reconciler_completion
"""


@pytest.fixture
def complete(home: Path, specs: Path, request: pytest.FixtureRequest):
    """Asks a shell for the words that may stand where the last one was begun."""
    write(specs / "a.yaml", trainjob("alpha"))
    folder = home / "bin"
    folder.mkdir()
    command = folder / "reconciler"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconciler "$@"\n')
    command.chmod(0o755)

    def ask(shell: str, *words: str) -> set[str]:
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        quoted = " ".join(f"'{word}'" for word in words)
        template = {"bash": BASH, "fish": FISH, "zsh": ZSH}[shell]
        script = template.format(words=quoted, place=len(words) - 1, next=len(words), line=" ".join(words))
        flags = {"bash": ["--norc", "--noprofile"], "fish": ["--no-config"], "zsh": ["-f"]}[shell]
        done = subprocess.run(
            [shell, *flags, "-c", script], cwd=home, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return {line.split("\t")[0].split(":")[0].strip() for line in done.stdout.splitlines() if line}

    return ask


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands(complete, shell: str) -> None:
    assert complete(shell, "reconciler", "re") == {"resume", "rerun"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_options_and_their_values(complete, shell: str) -> None:
    assert "--pull-policy" in complete(shell, "reconciler", "run", "--pull")
    assert complete(shell, "reconciler", "run", "--engine", "p") == {"podman", "process"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_job_names(complete, shell: str) -> None:
    assert complete(shell, "reconciler", "describe", "al") == {"alpha"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_calls_back(cli, shell):
    done = cli("completion", shell)

    assert done.exit_code == 0
    assert f"_RECONCILER_COMPLETE={shell}_complete" in done.stdout
