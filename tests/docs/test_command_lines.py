"""Every command line that is shown anywhere (help, pages, README) is one that the program has."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator

import click
import pytest

from reconciler.cli.main import COMMANDS, app
from tests.docs.pages import SHELL, blocks, pages
from tests.docs.shells import commands

_CALL = re.compile(
    r"(?:^ *|[|;&(=] *|\$ |exec \S+ )(?:[A-Z_]+=\S+ )*reconciler (?P<rest>[a-z-][^|;&)\n]*)", re.MULTILINE
)


def calls(text: str) -> Iterator[list[str]]:
    """Arguments of each call of the program in a text."""
    for match in _CALL.finditer(text):
        yield shlex.split(re.split(r" #| >| -- ", match["rest"])[0])


def complaint(arguments: list[str]) -> str:
    """What is wrong with a call; empty when nothing is."""
    if arguments[0].startswith("-"):
        return "" if arguments[0] in {"--help", "-h", "--version", "-V"} else f"unknown option {arguments[0]}"
    if arguments[0] not in COMMANDS:
        return f"unknown command {arguments[0]}"
    context = click.Context(app, info_name="reconciler", **app.context_settings)
    command = app.get_command(context, arguments[0])
    while isinstance(command, click.Group) and len(arguments) > 1 and not arguments[1].startswith("-"):
        arguments = arguments[1:]
        command = command.get_command(context, arguments[0])
    if command is None:
        return f"unknown command {arguments[0]}"
    inner = click.Context(command, info_name=arguments[0], parent=context)
    known = {flag for p in command.get_params(inner) for flag in (*p.opts, *p.secondary_opts)}
    given = [word.partition("=")[0] for word in arguments[1:] if re.match(r"--?[a-z]", word)]
    wrong = [
        flag for flag in given if flag not in known and not {f"-{letter}" for letter in flag[1:]} <= known
    ]
    return f"unknown option {', '.join(wrong)} of {arguments[0]}" if wrong else ""


def faults(texts: Iterable[tuple[str, str]]) -> list[str]:
    return [
        f"{place}: {' '.join(call)}: {why}"
        for place, text in texts
        for call in calls(text)
        if (why := complaint(call))
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_in_the_help_are_valid(name: str) -> None:
    command = app.get_command(click.Context(app), name)
    assert command is not None

    assert list(calls(command.epilog or "")) != []
    assert faults([(name, command.epilog or "")]) == []


def test_commands_on_pages_are_valid() -> None:
    shown = [
        (b.place, b.text) for page in pages() for b in blocks(page) if b.language in SHELL | {"", "text"}
    ]
    inline = [
        (page.name, "\n".join(re.findall(r"`(reconciler [^`]+)`", page.read_text()))) for page in pages()
    ]

    assert sum(len(list(calls(text))) for _, text in [*shown, *inline]) > 40
    assert faults([*shown, *inline]) == []


def test_shell_blocks_parse() -> None:
    for page in pages():
        for block in blocks(page):
            if block.language in SHELL:
                text = block.text
                if block.language == "console":
                    text = "\n".join(command for command, _ in commands(block.text))
                done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{block.place}: {done.stderr}"
