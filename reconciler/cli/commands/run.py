"""``reconciler run``: the daemon; with ``--wait``, also what a person sees of it meanwhile."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal, NoReturn

import click

from reconciler.cli import shared_options
from reconciler.cli.option_groups import GroupedCommand
from reconciler.errors import ConfigError

if TYPE_CHECKING:
    from reconciler.config.environment_file import EnvironmentFile
    from reconciler.config.settings import Settings

EPILOG = """\b
Example:
  reconciler run --specs specs/                    # until stopped
  reconciler run --specs specs/ --wait             # until every job has ended
  reconciler run --specs specs/ --wait --logs      # ... and show what they print
  reconciler run --specs specs/ --once             # one look, for cron and scripts
  reconciler run --engine podman --runtime-source github://kubeflow/trainer

\b
Every option may also be a variable or a line of reconciler.yaml:
  RECONCILER_ENGINE=podman reconciler run
  echo 'pull-policy: Never' > reconciler.yaml"""


def _apply_environment_file(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> EnvironmentFile | None:
    """Applies the file before the settings are read: its variables may be settings."""
    if text is None:
        return None
    from reconciler.config.environment_file import EnvironmentFile  # noqa: PLC0415  (most have none)

    file = EnvironmentFile.from_option(text)
    file.apply()
    return file


@click.command(cls=GroupedCommand, epilog=EPILOG)
@click.option("--once", is_flag=True, help="Converge as far as can be done now, then stop.")
@click.option("--wait", is_flag=True, help="Stop when every job has ended; 1 if any Failed or is Invalid.")
@click.option(
    "--logs", "show_logs", is_flag=True, help="With --wait: print what the jobs print, by container."
)
@click.option(
    "--env-file",
    "environment_file",
    metavar="FILE",
    callback=_apply_environment_file,
    help="Take variables (NAME=value lines) from this file, now and at SIGHUP; -FILE need not be there.",
)
@shared_options.settings_options(*shared_options.ALL_OPTIONS)
def run(
    *,
    once: bool,
    wait: bool,
    show_logs: bool,
    environment_file: EnvironmentFile | None,
    settings: Settings,
) -> int:
    """Run the jobs of a folder of manifests, and keep what runs equal to what they say.

    SIGHUP reads reconciler.yaml and --env-file again; SIGTERM ends, and jobs go on.
    """
    import faulthandler  # noqa: PLC0415  (none of this for --help)

    from reconciler.config import logging_setup  # noqa: PLC0415
    from reconciler.controller.daemon import sd_notify  # noqa: PLC0415
    from reconciler.controller.manager import serve  # noqa: PLC0415

    if once and wait:
        raise ConfigError("--once and --wait exclude each other.", remedy="Give one of them.")
    if show_logs and not wait:
        raise ConfigError(
            "--logs goes with --wait.",
            remedy="With a daemon: reconciler logs JOB --all -f, in another terminal.",
        )
    mode: Literal["forever", "once", "wait"] = "once" if once else "wait" if wait else "forever"
    form = logging_setup.resolve_format(settings.log_format)
    # A table is drawn over what is printed: lines instead, where the jobs' output is shown.
    table = mode == "wait" and not show_logs and form == "console" and sys.stderr.isatty()
    # Under a table that shows how the jobs go, the log adds only warnings and errors.
    level = "warning" if table and settings.log_level == "info" else settings.log_level
    logging_setup.configure_logging(log_format=form, level=level)
    if mode == "forever":
        # A service manager's watchdog ends a daemon that hangs with SIGABRT: the log then says where it hung.
        faulthandler.enable()
        load = click.get_current_context().meta[shared_options.LOAD_SETTINGS]
        notifier, reload = sd_notify.from_environment(), partial(_reload, load, environment_file)
        _exit_now(serve(settings, mode=mode, notifier=notifier, reload=reload))
    from reconciler.cli.output.live_logs import LiveLogs  # noqa: PLC0415
    from reconciler.cli.output.live_progress import LiveTable, ProgressLines  # noqa: PLC0415  (not for a daemon)

    display = LiveTable(settings) if table else ProgressLines(settings) if form == "console" else None
    with display or contextlib.nullcontext(), LiveLogs(settings) if show_logs else contextlib.nullcontext():
        return serve(settings, mode=mode, on_phase=display.on_phase if display is not None else None)


def _exit_now(status: int) -> NoReturn:
    """Ends the process without the interpreter's own shutdown, which frees memory piece by piece.

    Measured, that shutdown is most of the time a stop takes: 0.3 s, and 1 s on a busy machine. Everything is
    closed by now; only what is buffered has to be written.
    """
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def _reload(load: Callable[[], Settings], file: EnvironmentFile | None) -> Settings:
    """Returns the settings as flags, variables and files have them now.

    Raises:
        ConfigError: one of them is wrong; the environment is as it was.
    """
    undo = file.apply() if file is not None else None
    try:
        return load()
    except ConfigError as error:
        located = file.locate(error) if file is not None else error
        if undo is not None:
            undo()
        raise located from None
