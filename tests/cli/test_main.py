"""The ``reconciler`` command itself: help, lazy imports, failures."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from reconciler import __version__
from reconciler.cli.main import COMMANDS, report_error
from reconciler.errors import ConfigError, ReconcilerError
from tests.cli.samples import trainjob, write


def python(code: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, **options
    )


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["nonsense"], ["run", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys, json
from reconciler.cli.main import app
try:
    app.main({arguments!r})
except SystemExit:
    pass
sys.stderr.write(json.dumps(sorted(sys.modules)))
"""

    done = python(code)

    loaded = set(json.loads(done.stderr[done.stderr.index("[") :]))
    heavy = {"pydantic", "docker", "podman", "requests", "rich", "yaml", "ruamel", "structlog", "watchdog"}
    assert loaded & heavy == set()


def test_a_command_imports_no_module_of_another():
    code = """
import sys
from reconciler.cli.main import app
try:
    app.main(["completion", "bash"])
except SystemExit:
    pass
sys.stderr.write(" ".join(m for m in sys.modules if m.startswith("reconciler.cli.")))
"""

    commands = [m for m in python(code).stderr.split() if m.startswith("reconciler.cli.commands.")]
    assert commands == ["reconciler.cli.commands.completion"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_of_every_command_has_an_example(cli, command, flag):
    done = cli(command, flag)

    assert done.exit_code == 0
    assert f"Usage: reconciler {command}" in done.stdout
    assert "Example:" in done.stdout
    assert f"reconciler {command}" in done.stdout.split("Example:")[1]


def test_all_commands_that_look_at_jobs_accept_one_set_of_options(cli, specs):
    write(specs / "job.yaml", trainjob())
    common = [
        "--specs",
        "specs",
        "--engine",
        "process",
        "--log-dir",
        "logs",
        "--resync",
        "5s",
        "--no-auto-remove",
    ]

    for command in (
        ["get", "jobs"],
        ["describe", "demo"],
        ["suspend", "demo"],
        ["wait", "demo", "--for=delete"],
    ):
        done = cli(*command, *common, *(["--timeout", "0"] if command[0] == "wait" else []))
        assert done.exit_code in (0, 124), done.output
    assert "--resync" not in cli("get", "--help").stdout


def test_general_help_lists_every_command(cli):
    words = cli("--help").stdout.split()

    assert set(COMMANDS) <= set(words)


def test_no_arguments_print_help_and_exit_with_2(cli):
    done = cli()

    assert done.exit_code == 2
    assert "Usage:" in done.output


def test_version(cli):
    assert cli("--version").stdout.strip() == f"reconciler {__version__}"


def test_misspelt_command_is_answered_with_the_nearest(cli):
    done = cli("vaildate")

    assert done.exit_code == 2
    assert "did you mean validate?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["describe"], "Missing argument"),
        (["get", "cows"], "not one of jobs, runtimes, nodes"),
        (["run", "--engine", "dokcer"], "--engine"),
        (["run", "--resync", "soon"], "'soon' is not a duration"),
        (["run", "--once", "--wait"], "exclude each other"),
        (["wait", "demo", "--for", "Runing"], "did you mean Running?"),
        (["wait", "demo", "--timeout", "x"], "not a duration"),
        (["logs", "demo", "--node", "1", "--all"], "Give one of"),
        (["get", "jobs", "--config", "none.yaml"], "none.yaml"),
    ],
)
def test_usage_errors_exit_with_2_and_one_sentence(cli, arguments, words):
    done = cli(*arguments)

    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""


def test_invalid_variable_or_file_is_a_usage_error(cli, home, monkeypatch):
    monkeypatch.setenv("RECONCILER_ENGINE", "cow")
    assert cli("get", "jobs").exit_code == 2
    monkeypatch.delenv("RECONCILER_ENGINE")

    (home / "reconciler.yaml").write_text("engin: podman\n")
    done = cli("get", "jobs")

    assert done.exit_code == 2
    assert "reconciler.yaml:1: engin is not a setting (did you mean engine?)" in done.stderr


def test_failure_is_a_sentence_and_a_remedy(cli):
    done = cli("get", "jobs", "--specs", "nowhere")

    assert done.exit_code == 1
    assert done.stderr.startswith("Error: The folder of manifests nowhere is not there.")
    assert "--specs" in done.stderr


@pytest.mark.parametrize("command", [("get", "jobs"), ("run", "--once"), ("diff",)])
def test_manifest_in_place_of_the_folder(cli, home, command):
    (home / "job.yaml").write_text("kind: TrainJob\n")

    done = cli(*command, "--specs", "job.yaml")

    assert done.exit_code == 1
    assert done.stderr.startswith("Error: job.yaml is a file, not a folder of manifests.")
    assert "--specs DIR" in done.stderr


def test_exit_statuses_of_failures(capsys):
    assert report_error(ReconcilerError("x")) == 1
    assert report_error(ConfigError("x")) == 2
    assert report_error(KeyboardInterrupt()) == 130
    assert report_error(RuntimeError("x")) == 1
    assert report_error(OSError(2, "No such file", "f")) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_debug_variable_raises_the_error(monkeypatch):
    monkeypatch.setenv("RECONCILER_DEBUG", "1")

    with pytest.raises(ReconcilerError):
        report_error(ReconcilerError("x"))


def test_closed_pipe_is_not_an_error(specs):
    command = f"{sys.executable} -m reconciler get runtimes -o json | head -c 1"

    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout, done.stderr) == ("{", "")
