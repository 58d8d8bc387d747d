"""Where commands print: the one place through which text of others reaches a terminal, and data for scripts.

Standard output carries the answer and nothing else; all other messages go to standard error. JSON and YAML
never carry colour and are never wrapped. Everything but data is sanitized here, also into a pipe, whose other
end may be a terminal; ruff forbids ``click.echo`` elsewhere. Tables and texts of rich are sanitized where
they are built, logs of containers where they are written (:mod:`reconciler.cli.commands.logs`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.common.sanitize import escape_json, is_safe, sanitize_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Characters in a line where the stream is no terminal: no table cuts or wraps anything there.
UNLIMITED_WIDTH: Final = 10_000
PHASE_STYLES: Final[Mapping[str, str]] = {
    "Pending": "yellow",
    "Queued": "yellow",
    "Pulling": "cyan",
    "Initializing": "cyan",
    "Running": "blue",
    "Restarting": "magenta",
    "Suspended": "dim",
    "Complete": "green",
    "Failed": "red",
    "Invalid": "red",
    "Terminating": "magenta",
}


class Styled(str):
    """Text that has been sanitized, and then styled: its escape sequences are this program's own."""

    __slots__ = ()


def styled(text: str, *, fg: str | None = None, bold: bool = False) -> Styled:
    """Returns a part of a line for :func:`echo`, sanitized and in a colour."""
    return Styled(click.style(sanitize_text(text), fg=fg, bold=bold or None))


def echo(*parts: str, err: bool = False, fg: str | None = None) -> None:
    """Prints a line; its parts may be of anybody.

    Args:
        parts: of the line; each is sanitized, unless :func:`styled` has done it.
        err: on standard error.
        fg: colour of the parts without a style of their own.
    """
    own = (part if isinstance(part, Styled) else styled(part, fg=fg) for part in parts)
    click.echo("".join(own), err=err)


def open_console(*, stderr: bool = False) -> Console:
    """Returns a console on standard output (or error), as wide as the text where that is no terminal."""
    from rich.console import Console  # noqa: PLC0415  (not for --help)

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else UNLIMITED_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())


def print_block(block: RenderableType) -> None:
    """Prints a table or text on standard output; into a pipe without the blanks that pad its lines."""
    console = open_console()
    if console.is_terminal:
        console.print(block, crop=False)  # a long path is the terminal's to wrap
        return
    with console.capture() as captured:
        console.print(block)
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def print_note(message: str) -> None:
    """Prints a message beside the answer, on standard error."""
    echo(message, err=True, fg="yellow")


def print_data(data: Any, form: str) -> None:
    """Prints data as ``json``, ``yaml`` or by a template (``jsonpath=...``) on standard output.

    What could steer a terminal is escaped.
    """
    if form.startswith("jsonpath="):
        from reconciler.cli.jsonpath import Template  # noqa: PLC0415  (most need none)

        plain = json.loads(json.dumps(data, default=str))
        # Without a newline of its own, as kubectl has it; but a prompt should not follow the answer.
        text = Template(form.removeprefix("jsonpath=")).render(plain)
        ends = text.endswith("\n") or not sys.stdout.isatty()
        click.echo(sanitize_text(text) if sys.stdout.isatty() else text, nl=not ends)
        return
    if form == "json":
        click.echo(escape_json(json.dumps(data, indent=2, default=str, ensure_ascii=False)))
        return
    import yaml  # noqa: PLC0415  (not for --help)

    plain = json.loads(json.dumps(data, default=str))  # tuples, mappings of other types
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    options: dict[str, Any] = {"sort_keys": False, "width": 1_000_000}
    try:
        text = yaml.dump(plain, Dumper=dumper, allow_unicode=True, **options)
    except UnicodeEncodeError:  # a surrogate, which libyaml cannot write
        text = ""
    if not text or not is_safe(text):
        # With every character beyond ASCII escaped, as YAML has no form for some of them.
        text = yaml.dump(plain, Dumper=yaml.SafeDumper, allow_unicode=False, **options)
    click.echo(text, nl=False)
