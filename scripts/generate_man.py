"""Writes ``man/reconciler.1`` from the commands; ``--check`` only says whether it is up to date.

Run it after every change of a command, an option or its help: ``python scripts/generate_man.py``.
Plain ``man`` macros, which every reader of manual pages knows.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from commands import Command, paragraphs, sections, setting_names, setting_value

from reconciler import __version__
from reconciler.cli.main import EXAMPLE
from reconciler.config.settings import OPTIONS

PAGE = Path(__file__).resolve().parent.parent / "man" / "reconciler.1"

#: Of the last change of the text beside the commands; the day of a build would make no two builds alike.
DATE = "2026-11-24"
SUMMARY = "run Kubeflow TrainJob manifests from a folder on Podman or Docker"
INTRODUCTION = (
    """A folder of Kubeflow manifests (TrainJob, TrainingRuntime, ClusterTrainingRuntime) says which jobs
    there shall be. `reconciler run` compares it with the containers and networks of Podman or Docker and
    makes them equal: a job that is dropped there runs, one that is deleted goes, and its status is written
    beside the manifest.""",
    """Every decision is made anew from the manifest, a small record and what the engine lists, so a daemon
    that was killed goes on where it was.""",
)
STATUSES = (
    ("0", "All is well."),
    (
        "1",
        "The answer is no: a manifest is wrong, a job failed or is missing, a check failed, a change is due.",
    ),
    ("2", "The command line, a variable or reconciler.yaml is wrong."),
    ("124", "wait: the time is up."),
    ("130", "Interrupted."),
)
VARIABLES = (
    ("RECONCILER_CONFIG", "Read settings from this file instead of reconciler.yaml."),
    ("RECONCILER_DEBUG", "Show the traceback of what went wrong."),
    ("DOCKER_HOST, CONTAINER_HOST", "Where Docker and Podman are, as for their own commands."),
    ("XDG_STATE_HOME, XDG_CONFIG_HOME", "Base folders of records and of settings."),
)
FILES = (
    ("reconciler.yaml", "Settings, in the folder of the call or in $XDG_CONFIG_HOME/reconciler."),
    ("*.status.yaml", "Status, beside the manifest or under --status-dir."),
    (
        "$XDG_STATE_HOME/reconciler",
        "Records, logs and generated files; $HOME/.local/state without the variable.",
    ),
)


def page() -> str:
    """Renders the whole page as roff."""
    lines = [
        r".\" Generated from reconciler/cli by scripts/generate_man.py; do not edit.",
        f'.TH RECONCILER 1 {DATE} "reconciler {__version__}" "User Commands"',
        ".SH NAME",
        f"reconciler \\- {_text(SUMMARY)}",
        ".SH SYNOPSIS",
        r".B reconciler",
        r".I COMMAND",
        r"[\fIOPTION\fR]... [\fIARGUMENT\fR]...",
        ".SH DESCRIPTION",
        *_joined(INTRODUCTION, ".PP"),
        ".SH COMMANDS",
    ]
    for section, found in sections():
        lines.append(f'.SS "{section}"')
        for command in found:
            lines += _command(command)
    lines += _settings()
    lines += [".SH ENVIRONMENT", *_prose("The variables of the settings are named there. Besides:")]
    lines += [*_terms(VARIABLES), ".SH FILES", *_terms(FILES), ".SH EXIT STATUS", *_terms(STATUSES)]
    for title, examples in paragraphs(EXAMPLE):
        lines += [f".SH {title.upper()}", *_example(examples)[1:]]
    lines += [".SH SEE ALSO", r".BR docker (1),", r".BR podman (1),", r".BR systemctl (1)"]
    return "\n".join(lines) + "\n"


def _command(command: Command) -> Iterator[str]:
    synopsis = f" {_text(command.synopsis)}" if command.synopsis else ""
    yield from (".TP", rf"\fBreconciler {command.name}\fR{synopsis}", *_prose(command.text), ".RS")
    for flag in command.own_flags:
        yield from (".TP", _option(flag.names, flag.value), *_prose(flag.text))
    if command.settings:
        yield from (".PP", *_prose(f"Settings: {', '.join(command.settings)}."))
    for title, examples in command.epilog:
        yield from (".PP", *_prose(title + ":"), *_example(examples))
    yield ".RE"


def _settings() -> Iterator[str]:
    yield ".SH SETTINGS"
    yield from _prose(
        "Each is an option after the command's name, a variable, or a key of reconciler.yaml (the option"
        " without its dashes), in that order. One set serves for all commands that look at jobs."
    )
    for option in OPTIONS:
        default = option.default_text
        source = f"[{option.variable}{f'; default: {default}' if default else ''}]"
        yield from (
            ".TP",
            _option(setting_names(option), setting_value(option)),
            *_prose(f"{option.help} {source}"),
        )


def _option(names: str, value: str) -> str:
    return rf"\fB{_text(names)}\fR" + (rf" \fI{_text(value)}\fR" if value else "")


def _terms(terms: Iterable[tuple[str, str]]) -> list[str]:
    lines: list[str] = []
    for term, text in terms:
        lines += [".TP", f".B {_text(term)}", *_prose(text)]
    return lines


def _joined(texts: Iterable[str], between: str) -> list[str]:
    lines: list[str] = []
    for text in texts:
        lines += [between, *_prose(text)] if lines else _prose(text)
    return lines


def _example(lines: Iterable[str]) -> list[str]:
    return [".PP", ".RS 4", ".nf", *(_text(line) or " " for line in lines), ".fi", ".RE"]


def _text(text: str) -> str:
    """Escapes for roff, as a line of its own or a part of one."""
    return _line(_escape(text))


def _escape(text: str) -> str:
    """Escapes for roff wherever it stands: backslash, hyphen-minus, quotes."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("^", r"\(ha")
    return escaped.replace("~", r"\(ti").replace("`", r"\(ga")


def _line(escaped: str) -> str:
    """Keeps a control character at the start of a line from being one."""
    return rf"\&{escaped}" if escaped.startswith((".", r"\(aq")) else escaped


def _prose(text: str) -> list[str]:
    """Wraps sentences into lines of 80 bytes at most, escapes and those at the start included."""
    escaped = _escape(" ".join(text.split()))
    return [
        _line(line) for line in textwrap.wrap(escaped, 78, break_long_words=False, break_on_hyphens=False)
    ]


def main() -> int:
    """Writes or checks; 1 when a check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page would change")
    check = parser.parse_args().check
    text = page()
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{'stale' if check else 'written'}: {PAGE}")
    if not check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    return 1 if check else 0


if __name__ == "__main__":
    sys.exit(main())
