"""No text of others steers a terminal: names of files, values of manifests, messages; JSON and YAML stay whole."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from contextlib import suppress

import pytest
import yaml

from tests.support.manifests import runtime, shell
from tests.support.workspaces import PYTHON, Workspace, unique

pytestmark = pytest.mark.engine

#: Retitles the window, clears it, hides and reverses text, ends a line on another terminal.
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b8m\u202etxt\u2066\u200b\u2028\u00ad\ufeff\x7f\U000e0041"
#: What may not reach a terminal; this program's own colours are taken out before.
STEERS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e0fff]"
)
OWN = re.compile(r"\x1b\[[0-9;]*m")
#: A name that a file may have.
FILE_NAME = f"evil{HOSTILE.replace('/', '')}.yaml"


def assert_harmless(text: str) -> None:
    found = STEERS.search(OWN.sub("", text))
    assert found is None, ascii(text[max(0, found.start() - 60) : found.end() + 60])


@pytest.fixture
def hostile(processes: Workspace) -> tuple[Workspace, str]:
    """A job in a file with such a name, and with such values."""
    job = unique("term")
    processes.write("rt.yaml", runtime("rt", ""))
    made = shell(job, "rt", "true", env=[{"name": "EVIL", "value": HOSTILE.replace("\x9b", "")}])
    made["metadata"]["annotations"] = {"evil": HOSTILE.replace("\x9b", "")}
    processes.write(FILE_NAME, made)
    return processes, job


def on_terminal(space: Workspace, *arguments: str, seconds: float = 60.0) -> str:
    """What a command writes to a terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [PYTHON, "-m", "reconciler", *arguments],
        env=space.environment | {"TERM": "xterm"},
        cwd=space.root,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    data, deadline = b"", time.monotonic() + seconds
    try:
        with suppress(OSError):  # the other end has closed
            while time.monotonic() < deadline:
                if select.select([master], [], [], 0.2)[0]:
                    piece = os.read(master, 65536)
                    if not piece:
                        break
                    data += piece
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return data.decode(errors="replace").replace("\r\n", "\n")


def test_commands_that_edit_print_no_name_of_a_file_as_it_is(hostile: tuple[Workspace, str]) -> None:
    space, job = hostile

    for command in ("suspend", "resume", "rerun", "delete"):
        said = space.cli(command, job)
        assert said.returncode == 0, said.stderr
        assert "evil␛]0;owned␇" in said.stdout
        assert_harmless(said.stdout + said.stderr)


def test_nothing_that_steers_reaches_a_terminal(hostile: tuple[Workspace, str]) -> None:
    space, job = hostile
    (space.specs / FILE_NAME.replace("evil", "broken")).write_text("kind: TrainJob\nspec: [\n")
    space.cli("run", "--once")

    for command in (("validate", "specs"), ("diff",), ("get", "jobs", "-o", "wide"), ("describe", job)):
        text = on_terminal(space, *command)

        assert text.strip()
        assert_harmless(text)


def test_the_daemons_log_on_a_terminal_is_harmless(hostile: tuple[Workspace, str]) -> None:
    space, _ = hostile
    space.settings["LOG_FORMAT"] = "console"
    (space.specs / FILE_NAME.replace("evil", "broken")).write_text("kind: TrainJob\nspec: [\n")

    text = on_terminal(space, "run", "--once")

    assert "manifest fault" in text
    assert_harmless(text)


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_data_is_harmless_and_says_the_same(hostile: tuple[Workspace, str], form: str) -> None:
    space, job = hostile

    said = space.cli("plan", str(space.specs), "-o", form)

    assert_harmless(said.stdout + said.stderr)
    read = json.loads(said.stdout) if form == "json" else yaml.safe_load(said.stdout)
    planned = next(c for j in read["jobs"] if j["name"] == job for c in j["containers"])
    assert planned["env"]["EVIL"] == HOSTILE.replace("\x9b", "")


def test_data_with_text_of_other_scripts_stays_readable(processes: Workspace) -> None:
    job = unique("term")
    processes.write("rt.yaml", runtime("rt", ""))
    processes.write("job.yaml", shell(job, "rt", "true", env=[{"name": "TEXT", "value": "Größe 日本"}]))

    for form in ("yaml", "json"):
        assert "Größe 日本" in processes.cli("plan", str(processes.specs), "-o", form).stdout


def test_errors_print_no_name_as_it_is(processes: Workspace) -> None:
    for command in (("describe", HOSTILE), ("validate", HOSTILE), (HOSTILE,), ("logs", HOSTILE)):
        said = processes.cli(*(word.replace("\x00", "") for word in command))
        assert said.returncode != 0
        assert_harmless(said.stdout + said.stderr)


def test_a_jobs_own_output_is_raw_in_a_pipe_and_harmless_on_a_terminal(processes: Workspace) -> None:
    """A pipe gets what the job has printed, as from kubectl; a terminal keeps colours, and nothing else."""
    job = unique("term")
    processes.write("rt.yaml", runtime("rt", ""))
    script = r"printf '\033]0;owned\007\033[32mgreen\033[0m \342\200\256txt\n'"
    processes.write("job.yaml", shell(job, "rt", script))
    processes.cli("run", "--wait")

    piped = processes.cli("logs", job).stdout
    shown = on_terminal(processes, "logs", job)

    assert piped == "\x1b]0;owned\x07\x1b[32mgreen\x1b[0m \u202etxt\n"
    assert "\x1b[32mgreen\x1b[0m" in shown
    assert_harmless(shown)
