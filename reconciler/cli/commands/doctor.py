"""``reconciler doctor``: checks everything that a job needs of this machine, and says how to fix it.

The checks are in :mod:`reconciler.cli.doctor`, their order in its ``check_list``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli import shared_options
from reconciler.cli.output.console import print_block, print_data
from reconciler.common.sanitize import sanitize_text

if TYPE_CHECKING:
    from reconciler.cli.doctor.check import Check
    from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler doctor
  reconciler doctor --network-test --image docker.io/library/python:3.12-slim
  reconciler doctor --engine podman -o json | jq '.checks[] | select(.status != "ok")'"""

_MARKS: Final = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


@click.command(epilog=EPILOG)
@click.option("--pull-test", metavar="IMAGE", default="", help="Pull this image, as a job would.")
@click.option("--network-test", is_flag=True, help="Let two throw-away containers find each other.")
@click.option(
    "--image", metavar="IMAGE", default="", help="For --network-test: one that is there, with python3."
)
@shared_options.output_option("table", "json", "yaml", default="table")
@shared_options.settings_options(*shared_options.FOLDER_OPTIONS, *shared_options.ENGINE_OPTIONS)
def doctor(*, form: str, settings: Settings, pull_test: str, network_test: bool, image: str) -> int:
    """Check engine, folders, network, cgroups, GPUs and the like; exit status 1 when something fails."""
    from reconciler.cli.doctor.check_list import run_checks  # noqa: PLC0415  (none of this for --help)

    checks = list(run_checks(settings, pull_test=pull_test, network_test=network_test, image=image))
    failed = any(check.status == "fail" for check in checks)
    if form == "table":
        _print_checks(checks)
    else:
        print_data({"ok": not failed, "checks": [asdict(check) for check in checks]}, form)
    return 1 if failed else 0


def _print_checks(checks: Iterable[Check]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for check in checks:
        mark, style = _MARKS[check.status]
        grid.add_row(Text(mark, style=style), check.name, Text(sanitize_text(check.detail)))
        if check.remedy:
            grid.add_row("", "", Text(f"→ {sanitize_text(check.remedy)}", style=style))
    print_block(grid)
