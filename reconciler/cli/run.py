"""``reconciler run``: the daemon; and, with ``--once`` or ``--wait``, what a person sees of it meanwhile."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import click

from reconciler.cli import params

if TYPE_CHECKING:
    from reconciler.cli.progress import OnPhase
    from reconciler.config import Settings

EPILOG = """\b
Example:
  reconciler run --specs specs/                    # until stopped
  reconciler run --specs specs/ --wait             # until every job has ended
  reconciler run --specs specs/ --once             # one look, for cron and scripts
  reconciler run --engine podman --runtime-source github://kubeflow/trainer

\b
Every option may also be a variable or a line of reconciler.yaml:
  RECONCILER_ENGINE=podman reconciler run
  echo 'pull-policy: Never' > reconciler.yaml"""


@click.command(epilog=EPILOG)
@click.option("--once", is_flag=True, help="Converge as far as can be done now, then stop.")
@click.option("--wait", is_flag=True, help="Stop when every job has ended; 1 if any Failed or is Invalid.")
@params.settings_options(*params.EVERYTHING)
def run(*, once: bool, wait: bool, settings: Settings) -> int:
    """Run the jobs of a folder of manifests, and keep what runs equal to what they say."""
    from reconciler import logging_setup  # noqa: PLC0415  (not for --help)
    from reconciler.controller.daemon import serve  # noqa: PLC0415
    from reconciler.errors import ConfigError  # noqa: PLC0415

    if once and wait:
        raise ConfigError("--once and --wait exclude each other.", remedy="Give one of them.")
    mode: Literal["forever", "once", "wait"] = "once" if once else "wait" if wait else "forever"
    form = logging_setup.chosen_format(settings.log_format)
    table = mode == "wait" and form == "console" and sys.stderr.isatty()
    # Under a table that tells how the jobs go, the log adds only what is amiss.
    level = "warning" if table and settings.log_level == "info" else settings.log_level
    logging_setup.configure(form=form, level=level)
    with _shown(settings, table=table, lines=mode != "forever" and form == "console") as on_phase:
        return serve(settings, mode=mode, on_phase=on_phase)


@contextlib.contextmanager
def _shown(settings: Settings, *, table: bool, lines: bool) -> Iterator[OnPhase | None]:
    """Where changes of phase are told while the daemon works; None: in its log."""
    from reconciler.cli.progress import Lines, LiveTable  # noqa: PLC0415

    if table:
        with LiveTable(settings) as live:
            yield live.on_phase
    elif lines:
        with Lines(settings) as told:
            yield told.on_phase
    else:
        yield None
