"""The ``reconciler`` command: finds the subcommand, and turns every failure into one sentence.

Commands are named here and imported when they run, so that ``--help`` and a typo cost no more than click.
What a command raises ends here: a :class:`ReconcilerError` is a sentence and a remedy on standard error,
never a traceback (``RECONCILER_DEBUG=1`` shows it).
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import click

from reconciler import __version__
from reconciler.common.sanitize import printable
from reconciler.errors import ConfigError, ReconcilerError

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130

#: Sections of the help: command to where it is and what it says of itself in one line.
SECTIONS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Run": {
        "run": ("run:run", "Run the jobs of a folder, and keep it so."),
        "diff": ("diff:diff", "Show what `run --once` would do now."),
        "doctor": ("doctor:doctor", "Check engine, network, cgroups, GPUs; say how to mend each."),
    },
    "Check manifests": {
        "validate": ("validate:validate", "Say what is wrong in manifests, with file and line."),
        "plan": ("plan:plan", "Show the networks and containers that manifests ask for."),
    },
    "Look at jobs": {
        "get": ("get:get", "List jobs, runtimes or nodes."),
        "describe": ("describe:describe", "Tell everything about one job."),
        "logs": ("logs:logs", "Print a job's logs."),
        "wait": ("wait:wait", "Wait until a job has ended, or has come to a phase."),
    },
    "Change jobs (by their manifest)": {
        "suspend": ("edit:suspend", "Stop a job's containers; it can be resumed."),
        "resume": ("edit:resume", "Let a suspended job run again."),
        "rerun": ("edit:rerun", "Run a job again from its beginning."),
        "delete": ("edit:delete", "Remove a job from its file, and with it all it has on the engine."),
    },
    "Other": {
        "systemd": ("systemd:systemd", "Run the daemon as a service of this user."),
        "completion": ("completion:completion", "Print the completion script for bash, zsh or fish."),
    },
}
COMMANDS: Final = {name: place for section in SECTIONS.values() for name, (place, _) in section.items()}

EXAMPLE = """\b
Example:
  reconciler validate specs/         # check the manifests
  reconciler run --specs specs/      # run them until stopped
  reconciler get jobs --watch        # in another terminal"""


class App(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Every command there is."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a command; None when there is none of the name."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, attribute = place.split(":")
        command = getattr(importlib.import_module(f"reconciler.cli.commands.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101  (COMMANDS is ours)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it; an unknown name is answered with the nearest one."""
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" There are: {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {name}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The help's list, written from the table so that nothing is imported for it."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

    def main(  # type: ignore[override]  # one of click's two forms: it always ends the process
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run a command line and end the process with its exit status."""
        extra.pop("standalone_mode", None)
        extra.setdefault("windows_expand_args", False)
        try:
            status = super().main(args, prog_name or "reconciler", standalone_mode=False, **extra)
            sys.stdout.flush()  # here, where a reader that has gone is no traceback
        except BaseException as error:  # noqa: BLE001  (the last frame: said in a sentence, or raised again)
            sys.exit(report(error))
        sys.exit(status if isinstance(status, int) else 0)


@click.group(
    name="reconciler",
    cls=App,
    epilog=EXAMPLE,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="reconciler", message="%(prog)s %(version)s")
def app() -> None:
    """Runs Kubeflow TrainJob manifests from a folder as containers on Podman or Docker."""


def report(error: BaseException) -> int:
    """Say on standard error what went wrong; the exit status that goes with it.

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
        _say(error.format_message(), _usage_hint(error))
        return error.exit_code
    if isinstance(error, ReconcilerError):
        _say(error.message, error.remedy)
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED
    if isinstance(error, OSError):
        _say(_os_error(error), "")
        return EXIT_FAILED
    if isinstance(error, Exception):
        _say(
            f"This is a mistake in reconciler itself: {type(error).__name__}: {error}",
            "Run it again with RECONCILER_DEBUG=1 for the traceback, and report that.",
        )
        return EXIT_FAILED
    raise error


def _say(message: str, remedy: str) -> None:
    click.secho(f"Error: {printable(message.rstrip())}", fg="red", err=True)
    if remedy:
        click.echo(printable(remedy), err=True)


def _usage_hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"Try: {context.command_path} --help" if context is not None else ""


def _os_error(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}." if error.filename else f"{reason}."


def main() -> None:
    """Entry point of the ``reconciler`` script."""
    app.main()
