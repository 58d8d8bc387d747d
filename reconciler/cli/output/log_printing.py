"""A line of a container's log on standard output, with a prefix that says whose it is."""

from __future__ import annotations

import sys
from typing import Final

import click

from reconciler.common.sanitize import sanitize_output

_COLORS: Final = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")


def write_log_line(label: str, prefix: str, line: bytes) -> None:
    """Writes a line without its end, as it is; on a terminal safely, and the prefix in its label's colour."""
    if sys.stdout.isatty():
        number = int(label) if label.isdecimal() else sum(map(ord, label))
        prefix = click.style(prefix, fg=_COLORS[number % len(_COLORS)])
        line = sanitize_output(line)
    sys.stdout.buffer.write(prefix.encode() + line.rstrip(b"\r") + b"\n")
