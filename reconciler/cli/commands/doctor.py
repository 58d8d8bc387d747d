"""``reconciler doctor``: looks at all that a job needs of this machine; says how to mend it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click

from reconciler.cli import shared_options

if TYPE_CHECKING:
    from reconciler.cli.doctor.check import Check
    from reconciler.cli.doctor.engine_checks import Trials
    from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler doctor
  reconciler doctor --network-test --image docker.io/library/python:3.12-slim
  reconciler doctor --engine podman -o json | jq '.checks[] | select(.status != "ok")'"""

_MARKS: Final = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


@click.command(epilog=EPILOG)
@click.option("--pull-test", "pull", metavar="IMAGE", default="", help="Pull this image, as a job would.")
@click.option(
    "--network-test", "network", is_flag=True, help="Let two throw-away containers find each other."
)
@click.option(
    "--image", metavar="IMAGE", default="", help="For --network-test: one that is there, with python3."
)
@shared_options.output_option("table", "json", "yaml", default="table")
@shared_options.settings_options(*shared_options.PLACES, *shared_options.ENGINE)
def doctor(*, form: str, settings: Settings, pull: str, network: bool, image: str) -> int:
    """Check engine, folders, network, cgroups, GPUs and the like; exit status 1 when something fails."""
    from reconciler.cli.doctor.engine_checks import Trials  # noqa: PLC0415  (none of this for --help)

    checks = list(run_checks(settings, Trials(pull=pull, network=network, image=image)))
    failed = any(check.status == "fail" for check in checks)
    if form == "table":
        _print(checks)
    else:
        from reconciler.cli.doctor.check import as_data  # noqa: PLC0415
        from reconciler.cli.output.console import emit  # noqa: PLC0415

        emit({"ok": not failed, "checks": [as_data(check) for check in checks]}, form)
    return 1 if failed else 0


def run_checks(settings: Settings, trials: Trials) -> Iterable[Check]:
    """All checks, in the order of reading."""
    from reconciler.cli.doctor import engine_checks, folder_checks, kernel_checks  # noqa: PLC0415
    from reconciler.cli.doctor.check import Machine  # noqa: PLC0415  (none of this for --help)
    from reconciler.cli.doctor.clock_checks import clock_check  # noqa: PLC0415
    from reconciler.cli.doctor.container_checks import container_checks  # noqa: PLC0415
    from reconciler.cli.doctor.git_checks import git_checks  # noqa: PLC0415

    machine = Machine()
    yield from engine_checks.engine_checks(settings, machine, trials)
    yield from folder_checks.folder_checks(settings, machine)
    yield from git_checks(settings, machine)
    yield from container_checks(settings, machine)
    if os.name == "posix" and machine.exists("proc/sys"):
        rootless = machine.uid != 0 and settings.engine in {"auto", "podman"}
        yield from kernel_checks.kernel_checks(machine, rootless=rootless)
    yield clock_check(settings, machine)


def _print(checks: Iterable[Check]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from reconciler.cli.output.console import show  # noqa: PLC0415

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for check in checks:
        mark, style = _MARKS[check.status]
        grid.add_row(Text(mark, style=style), check.name, Text(check.detail))
        if check.remedy:
            grid.add_row("", "", Text(f"→ {check.remedy}", style=style))
    show(grid)
