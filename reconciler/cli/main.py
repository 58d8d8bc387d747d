"""The ``reconciler`` command: imports the subcommand that is asked for, and reports failures.

Commands are named here and imported when they run, so that ``--help`` and a typo cost no more than click.
What a command raises ends here: a :class:`ReconcilerError` is printed as a sentence and a remedy on standard
error, never as a traceback (``RECONCILER_DEBUG=1`` shows it).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import click

from reconciler import __version__
from reconciler.cli.standard_streams import open_closed_streams
from reconciler.common.os_errors import reason_of
from reconciler.common.suggestions import did_you_mean
from reconciler.errors import ConfigError, ReconcilerError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

#: Sections of the general help: each command with its summary. ``NAME`` is defined in ``commands/NAME.py``.
SECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "Run": {
        "run": "Run the jobs of a folder, and keep it so.",
        "diff": "Show what `run --once` would do now.",
        "doctor": "Check engine, network, cgroups, GPUs; say how to fix each.",
    },
    "Check manifests": {
        "validate": "Report what is wrong in manifests, with file and line.",
        "plan": "Show the networks and containers that manifests ask for.",
    },
    "Look at jobs": {
        "get": "List jobs, runtimes, nodes or events.",
        "describe": "Show all that is known about one job.",
        "events": "Print what has happened to jobs.",
        "logs": "Print a job's logs.",
        "exec": "Run a command in a job's container.",
        "wait": "Wait until a job has ended, or has reached a phase.",
    },
    "Change jobs (by their manifest)": {
        "suspend": "Stop a job's containers; it can be resumed.",
        "resume": "Let a suspended job run again.",
        "rerun": "Run a job again from its beginning.",
        "delete": "Remove a job from its file, and with it all it has on the engine.",
    },
    "Other": {
        "systemd": "Run the daemon as a service of this user.",
        "completion": "Print the completion script for bash, zsh or fish.",
        "version": "Print the version.",
    },
}
#: Modules of commands that are not ``commands/NAME.py``, and functions that cannot have a command's name.
MODULES: Final[Mapping[str, str]] = {
    name: f"edits.{name}" for name in ("suspend", "resume", "rerun", "delete")
}
FUNCTIONS: Final[Mapping[str, str]] = {"exec": "exec_command"}
COMMANDS: Final = {name: summary for section in SECTIONS.values() for name, summary in section.items()}

EXAMPLE = """\b
Example:
  reconciler validate specs/         # check the manifests
  reconciler run --specs specs/      # run them until stopped
  reconciler get jobs --watch        # in another terminal"""


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Returns the names of all commands."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Imports and returns a command; None when there is none of the name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"reconciler.cli.commands.{MODULES.get(cmd_name, cmd_name)}")
        command = getattr(module, FUNCTIONS.get(cmd_name, cmd_name))
        assert isinstance(command, click.Command)  # noqa: S101  (COMMANDS is ours)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolves as click does, but answers an unknown name with the nearest one."""
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            hint = did_you_mean(name, COMMANDS) or f"; there are: {', '.join(COMMANDS)}"
            raise click.UsageError(f"There is no command {name}{hint}.", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes the help's list from the table, so that nothing is imported for it."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([*commands.items()])

    def main(  # type: ignore[override]  # one of click's two forms: it always ends the process
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Runs a command line and ends the process with its exit status."""
        extra.pop("standalone_mode", None)
        extra.setdefault("windows_expand_args", False)
        try:
            status = super().main(args, prog_name or "reconciler", standalone_mode=False, **extra)
            sys.stdout.flush()  # here, where a reader that has gone causes no traceback
        except BaseException as error:  # noqa: BLE001  (the last frame: reported, or raised again)
            sys.exit(report_error(error))
        sys.exit(status if isinstance(status, int) else 0)


@click.group(
    name="reconciler",
    cls=LazyGroup,
    epilog=EXAMPLE,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="reconciler", message="%(prog)s %(version)s")
def app() -> None:
    """Runs Kubeflow TrainJob manifests from a folder as containers on Podman or Docker."""


def report_error(error: BaseException) -> int:
    """Prints on standard error what went wrong, and returns the exit status that goes with it.

    Raises:
        BaseException: the error itself when it is one of this program's own mistakes, or when
            ``RECONCILER_DEBUG`` asks for tracebacks.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else EXIT_FAILED
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # The reader (head, less) has enough. Python would complain once more while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if os.environ.get("RECONCILER_DEBUG"):
        raise error
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return EXIT_USAGE
    if isinstance(error, click.ClickException):
        _print_error(error.format_message(), _usage_hint(error))
        return error.exit_code
    if isinstance(error, ReconcilerError):
        _print_error(error.message, error.remedy)
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
    if isinstance(error, OSError):
        reason = reason_of(error)
        _print_error(f"{error.filename}: {reason}." if error.filename else f"{reason}.")
        return EXIT_FAILED
    if isinstance(error, Exception):
        _print_error(
            f"This is a mistake in reconciler itself: {type(error).__name__}: {error}",
            "Run it again with RECONCILER_DEBUG=1 for the traceback, and report that.",
        )
        return EXIT_FAILED
    raise error


def _print_error(message: str, remedy: str = "") -> None:
    from reconciler.cli.output.console import echo  # noqa: PLC0415  (not where all goes well)

    echo(f"Error: {message.rstrip()}", fg="red", err=True)
    if remedy:
        echo(remedy, err=True)


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"Try: {context.command_path} --help" if context is not None else ""


def main() -> None:
    """Entry point of the ``reconciler`` script."""
    open_closed_streams()
    app.main()
