"""``reconciler version``: which version this is, of what; for reports of bugs."""

from __future__ import annotations

import platform

import click

from reconciler import __version__
from reconciler.cli import shared_options
from reconciler.cli.output.console import echo, print_data

EPILOG = """\b
Example:
  reconciler version
  reconciler version -o json | jq -r .reconciler"""


@click.command(epilog=EPILOG)
@shared_options.output_option("text", "json", "yaml", default="text")
def version(*, form: str) -> None:
    """Print the version of this command, of Python and of the system."""
    facts = {
        "reconciler": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    if form == "text":
        echo(f"reconciler {facts['reconciler']} (Python {facts['python']}, {facts['platform']})")
    else:
        print_data(facts, form)
