"""``reconciler run``: the daemon; and, with ``--once`` or ``--wait``, what a person sees of it meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import click

from reconciler.cli import params

if TYPE_CHECKING:
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
    from reconciler.controller import daemon  # noqa: PLC0415
    from reconciler.errors import ConfigError  # noqa: PLC0415

    if once and wait:
        raise ConfigError("--once and --wait exclude each other.", remedy="Give one of them.")
    mode: Literal["forever", "once", "wait"] = "once" if once else "wait" if wait else "forever"
    settings = _quieter_under_a_table(settings, mode)
    logging_setup.configure(form=settings.log_format, level=settings.log_level)
    with _shown(settings, mode):
        # What Progress shows need not be logged as well.
        return daemon.serve(settings, mode=mode, on_phase=None if mode == "forever" else _ignore)


def _ignore(_key: str, _document: object) -> None:
    pass


def _quieter_under_a_table(settings: Settings, mode: str) -> Settings:
    """On a terminal the table tells how the jobs go; the log adds only what is amiss."""
    if _draws_table(settings, mode) and settings.log_level == "info":
        return replace(settings, log_level="warning")
    return settings


def _draws_table(settings: Settings, mode: str) -> bool:
    import sys  # noqa: PLC0415

    return mode == "wait" and settings.log_format != "json" and sys.stderr.isatty()


@contextlib.contextmanager
def _shown(settings: Settings, mode: str) -> Iterator[None]:
    """Tell of the jobs' phases while the daemon works; a daemon for ever has its log."""
    if mode == "forever":
        yield
        return
    from reconciler.cli.progress import Progress  # noqa: PLC0415

    with Progress(settings, table=_draws_table(settings, mode)):
        yield
