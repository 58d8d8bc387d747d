"""``reconciler diff``: what ``run --once`` would do now; for people who look first, and for pipelines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

import click

from reconciler.cli import shared_options
from reconciler.cli.option_groups import GroupedCommand
from reconciler.cli.output.console import echo, print_data
from reconciler.config.logging_setup import configure_logging
from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler diff --specs specs/
  reconciler diff --specs specs/ && echo "nothing to do" """

_SIGNS: Final = {
    "create": ("+", "green"),
    "remove": ("-", "red"),
    "stop": ("-", "red"),
    "refuse": ("!", "red"),
    "wait": (".", "yellow"),
}


@click.command(cls=GroupedCommand, epilog=EPILOG)
@shared_options.output_option("text", "json", "yaml", default="text")
@shared_options.settings_options(*shared_options.ALL_OPTIONS)
def diff(*, form: str, settings: Settings) -> int:
    """Show what `run --once` would do now; exit status 0: nothing, 1: something."""
    from reconciler.controller.dry_run import dry_run  # noqa: PLC0415  (not for --help: imports the controller)

    configure_logging(log_format=settings.log_format, level="warning")
    changes = dry_run(settings)
    if form != "text":
        print_data({"changes": [asdict(change) for change in changes]}, form)
        return 1 if changes else 0
    for change in changes:
        sign, color = _SIGNS.get(change.verb, ("~", "yellow"))
        job = f" ({change.job})" if change.job else ""
        reason = f": {change.reason}" if change.reason else ""
        verb = "" if sign in "+-" else f"{change.verb} "
        echo(f"{sign} {verb}{change.kind} {change.name}{job}{reason}", fg=color)
    if not changes:
        echo("Nothing to do.", err=True)
    return 1 if changes else 0
