"""``reconciler diff``: what ``run --once`` would do now; for people before they let it, and for pipelines."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli import shared_options
from reconciler.common.sanitize import printable

if TYPE_CHECKING:
    from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler diff --specs specs/
  reconciler diff --specs specs/ && echo "nothing to do" """

_SIGNS: Final = {
    "create": ("+", "green"),
    "start": ("+", "green"),
    "remove": ("-", "red"),
    "stop": ("-", "red"),
    "refuse": ("!", "red"),
    "wait": (".", "yellow"),
}


@click.command(epilog=EPILOG)
@shared_options.output_option("text", "json", "yaml", default="text")
@shared_options.settings_options(*shared_options.EVERYTHING)
def diff(*, form: str, settings: Settings) -> int:
    """Show what `run --once` would do now; exit status 0: nothing, 1: something."""
    from reconciler.config import logging_setup  # noqa: PLC0415  (not for --help)
    from reconciler.controller.dry_run import preview  # noqa: PLC0415

    logging_setup.configure(form=settings.log_format, level="warning")
    changes = preview(settings)
    if form != "text":
        from reconciler.cli.output.console import emit  # noqa: PLC0415

        emit({"changes": [asdict(change) for change in changes]}, form)
        return 1 if changes else 0
    for change in changes:
        sign, color = _SIGNS.get(change.verb, ("~", "yellow"))
        about = f" ({change.job})" if change.job else ""
        why = f": {change.reason}" if change.reason else ""
        verb = "" if sign in "+-" else f"{change.verb} "
        click.secho(printable(f"{sign} {verb}{change.kind} {change.name}{about}{why}"), fg=color)
    if not changes:
        click.echo("Nothing to do.", err=True)
    return 1 if changes else 0
