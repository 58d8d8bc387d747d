"""What commands print with: consoles, colours of phases, times, and data for scripts.

Standard output carries the answer and nothing else; all that is said beside it goes to standard error.
JSON and YAML never carry colour and are never wrapped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from reconciler.common.durations import short_duration
from reconciler.common.sanitize import printable

__all__ = ["PHASE_STYLES", "clock", "console", "emit", "note", "short_duration", "show"]

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

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
}


def console(*, stderr: bool = False) -> Console:
    """A console on standard output (or error), as wide as the text where that is no terminal."""
    from rich.console import Console  # noqa: PLC0415  (not for --help)

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 10_000
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())


def show(block: RenderableType) -> None:
    """Print a table or text on standard output; into a pipe without the blanks that fill up its lines."""
    screen = console()
    if screen.is_terminal:
        screen.print(block)
        return
    with screen.capture() as captured:
        screen.print(block)
    click.echo("\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")))


def note(message: str) -> None:
    """Say something beside the answer, on standard error."""
    click.secho(printable(message), err=True, fg="yellow")


def emit(data: Any, form: str) -> None:
    """Print data as ``json`` or ``yaml`` on standard output."""
    if form == "json":
        click.echo(json.dumps(data, indent=2, default=str, ensure_ascii=False))
        return
    import yaml  # noqa: PLC0415  (not for --help)

    plain = json.loads(json.dumps(data, default=str))  # tuples, mappings of other types
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(plain, Dumper=dumper, sort_keys=False, allow_unicode=True, width=1_000_000)
    click.echo(text, nl=False)


def clock(seconds: float | None) -> str:
    """A moment (seconds since the epoch) as RFC 3339 in UTC; "-" for None."""
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
