"""Arguments and options that several commands share.

``@settings_options("specs", ...)`` gives a command the options it needs out of the one table in
:mod:`reconciler.config.options` and hands it a finished ``settings``; what the command does not take as a flag
still comes from variables and ``reconciler.yaml``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from reconciler.common.durations import parse_duration
from reconciler.config.options import OPTION, OPTIONS, Option
from reconciler.config.settings import default_text

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])

#: Where jobs and what is known of them are; enough for every command that looks at jobs.
PLACES: Final = ("specs", "status_dir", "log_dir", "state_dir", "runtime_sources")
ENGINE: Final = ("engine", "container_host")
LOGGING: Final = ("log_format", "log_level")
#: Where the click context's ``meta`` keeps what reads the settings once more.
LOAD: Final = "reconciler.load"
EVERYTHING: Final = tuple(option.name for option in OPTIONS)


def settings_options(*names: str, others: bool = True) -> Callable[[F], F]:
    """Give a command the named options, and ``settings`` as an argument.

    Args:
        names: of the settings that the command's help shows.
        others: take the other settings as well, so that one set of options serves for all commands.
    """
    taken = EVERYTHING if others else names

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def with_settings(*args: Any, config_file: Path | None, **values: Any) -> Any:
            from reconciler.config.settings import load_settings  # noqa: PLC0415  (not for --help)

            flags = {name: values.pop(name) for name in taken}
            load = functools.partial(load_settings, flags, config_file=config_file)
            settings = load()
            click.get_current_context().meta[LOAD] = load
            return function(*args, settings=settings, **values)

        decorated: Any = with_settings
        for name in sorted(taken, key=lambda name: names.index(name) if name in names else -1, reverse=True):
            decorated = _click_option(OPTION[name], hidden=name not in names)(decorated)
        return click.option(  # type: ignore[no-any-return]
            "--config",
            "config_file",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Read settings from this file instead of reconciler.yaml.",
        )(decorated)

    return decorate


def _click_option(option: Option, *, hidden: bool) -> Callable[[Any], Any]:
    default = default_text(option.name)
    shown = f"{option.help}  [{option.variable}{f'; default: {default}' if default else ''}]"
    if option.boolean:
        flags = f"--{option.flag}/--no-{option.flag}"
        return click.option(flags, option.name, default=None, help=shown, hidden=hidden)
    kind: Any = click.Choice(option.choices, case_sensitive=False) if option.choices else str
    if option.metavar == "DIR":
        kind = click.Path(path_type=str)
    return click.option(
        f"--{option.flag}",
        option.name,
        type=kind,
        metavar=option.metavar or _choices(option),
        multiple=option.repeatable,
        default=None,
        help=shown,
        hidden=hidden,
    )


def _choices(option: Option) -> str | None:
    """In their own spelling: click shows what it compares, which is lower case."""
    return f"[{'|'.join(option.choices)}]" if option.choices else None


def output_option(*forms: str, default: str) -> Callable[[F], F]:
    """``-o FORM``, one of the forms that the command has."""
    return click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(forms, case_sensitive=False),
        default=default,
        show_default=True,
        help="Form of the output.",
    )


def namespace_option(function: F) -> F:
    """``-n NAMESPACE``."""
    return click.option(
        "-n", "--namespace", metavar="NAME", default=None, help="Only this namespace; default: any."
    )(function)


def job_argument(function: F) -> F:
    """``JOB`` or ``NAMESPACE/JOB``, completed from the manifests there are."""
    return click.argument("job", metavar="JOB", shell_complete=complete_job)(function)


def duration_option(*flags: str, help: str) -> Callable[[F], F]:  # noqa: A002  (click's own word)
    """An option that takes ``30``, ``30s``, ``5m`` and gives seconds."""
    return click.option(*flags, type=_Duration(), metavar="TIME", default=None, help=help)


class _Duration(click.ParamType[float]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}.", param, ctx)
        if seconds < 0:
            self.fail(f"{value!r} is less than nothing.", param, ctx)
        return seconds


def complete_job(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of jobs that begin with what was typed."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415

    from reconciler.cli.job_lookup import job_names  # noqa: PLC0415
    from reconciler.config.settings import load_settings  # noqa: PLC0415
    from reconciler.errors import ReconcilerError  # noqa: PLC0415

    try:
        settings = load_settings({name: ctx.params.get(name) for name in ("specs", "status_dir")})
        names = job_names(settings)
    except ReconcilerError:
        return []  # a completion has nowhere to complain
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
