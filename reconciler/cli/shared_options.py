"""Click arguments and options that several commands share.

``@settings_options("specs", ...)`` gives a command the options it needs out of
:data:`reconciler.config.settings.OPTIONS` and hands it a finished ``settings``; what the command does not
take as a flag still comes from variables and ``reconciler.yaml``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from reconciler.common.durations import parse_duration
from reconciler.common.host_looks import LOOKS, UnansweredError
from reconciler.common.suggestions import did_you_mean
from reconciler.config.options import Option
from reconciler.config.settings import OPTION, OPTIONS, load_settings
from reconciler.names import JOB_WORDS
from reconciler.state.timestamps import parse_time

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])

#: Where manifests, statuses, logs and records are; enough for every command that looks at jobs.
FOLDER_OPTIONS: Final = ("specs", "status_dir", "log_dir", "state_dir", "runtime_sources")
ENGINE_OPTIONS: Final = ("engine", "container_host")
ALL_OPTIONS: Final = tuple(option.name for option in OPTIONS)
#: Begins a form of the output that is a template.
JSONPATH: Final = "jsonpath="
#: Key of the click context's ``meta`` under which commands find a function that loads the settings again.
LOAD_SETTINGS: Final = "reconciler.load_settings"


def settings_options(*names: str, accept_all: bool = True) -> Callable[[F], F]:
    """Gives a command the named options, and ``settings`` as an argument.

    Args:
        names: of the settings that the command's help shows.
        accept_all: accept the other settings as well, so that one set of options serves for all commands.
    """
    taken = ALL_OPTIONS if accept_all else names

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def with_settings(*args: Any, config_file: Path | None, **values: Any) -> Any:
            flags = {name: values.pop(name) for name in taken}
            load = functools.partial(load_settings, flags, config_file=config_file)
            settings = load()
            click.get_current_context().meta[LOAD_SETTINGS] = load
            return function(*args, settings=settings, **values)

        decorated: Any = with_settings
        for name in sorted(taken, key=lambda name: names.index(name) if name in names else -1, reverse=True):
            decorated = _click_option(OPTION[name], hidden=name not in names)(decorated)
        return click.option(  # type: ignore[no-any-return]
            "--config",
            "config_file",
            type=AnsweringPath(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Read settings from this file instead of reconciler.yaml.",
        )(decorated)

    return decorate


def _click_option(option: Option, *, hidden: bool) -> Callable[[Any], Any]:
    default = f"; default: {option.default_text}" if option.default_text else ""
    text = f"{option.help}  [{option.variable}{default}]"
    if option.boolean:
        flags = f"--{option.flag}/--no-{option.flag}"
        return click.option(flags, option.name, default=None, help=text, hidden=hidden)
    kind: Any = click.Choice(option.choices, case_sensitive=False) if option.choices else str
    if option.metavar == "DIR":
        kind = AnsweringPath(path_type=str)
    # Choices in their own spelling: click shows what it compares, which is lower case.
    choices = f"[{'|'.join(option.choices)}]" if option.choices else None
    return click.option(
        f"--{option.flag}",
        option.name,
        type=kind,
        metavar=option.metavar or choices,
        multiple=option.repeatable,
        default=None,
        help=text,
        hidden=hidden,
    )


def output_option(*forms: str, default: str, jsonpath: bool = False) -> Callable[[F], F]:
    """``-o FORM``: one of the forms that the command has; with ``jsonpath`` also a template."""
    return click.option(
        "-o",
        "--output",
        "form",
        type=_Form(forms) if jsonpath else click.Choice(forms, case_sensitive=False),
        default=default,
        show_default=True,
        help="Form of the output.",
    )


class AnsweringPath(click.Path):
    """A path whose file system is asked first, in a thread of its own: one that never answers is a fault."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Converts as click does, once the path has answered."""
        found = LOOKS.resolve([os.fsdecode(value)])[0]
        if isinstance(found.error, UnansweredError):
            self.fail(
                f"{os.fsdecode(value)}: {found.error.strerror}. Mount it again, or name another.", param, ctx
            )
        return super().convert(value, param, ctx)


class _Form(click.ParamType[str]):
    """One of some forms, in any letter case, or ``jsonpath=TEMPLATE``."""

    name = "form"

    def __init__(self, forms: Sequence[str]) -> None:
        self._forms = click.Choice(forms, case_sensitive=False)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002  (click's signature)
        """The forms in the help."""
        return f"[{'|'.join((*self._forms.choices, JSONPATH + 'TEMPLATE'))}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the form; a template as it was given."""
        text = str(value)
        if not text.startswith(JSONPATH):
            return self._forms.convert(value, param, ctx)
        from reconciler.cli.jsonpath import Template, TemplateError  # noqa: PLC0415  (most need none)

        try:
            Template(text.removeprefix(JSONPATH))
        except TemplateError as error:
            self.fail(f"the template {text.removeprefix(JSONPATH)!r} is wrong: {error}.", param, ctx)
        return text


class Word(click.ParamType[str]):
    """One of some words, in any letter case; a misspelt one is answered with the nearest.

    Args:
        name: of the parameter's type.
        aliases: the words, each with further ones that stand for it.
    """

    def __init__(self, name: str, aliases: Mapping[str, Sequence[str]]) -> None:
        self.name = name
        self._words = list(aliases)
        self._known = {a.lower(): word for word, others in aliases.items() for a in (word, *others)}

    def knows(self, text: str) -> bool:
        """Whether it is one of the words."""
        return text.lower() in self._known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the word in its own spelling."""
        word = self._known.get(str(value).lower())
        if word is None:
            hint = did_you_mean(str(value), self._words)
            self.fail(f"{value!r} is not one of {', '.join(self._words)}{hint}.", param, ctx)
        return word

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  (click's signature)
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Returns the words that begin with what was typed."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415  (only a completion needs it)

        return [CompletionItem(word) for word in self._words if word.lower().startswith(incomplete.lower())]


class Duration(click.ParamType[float]):
    """``30``, ``30s``, ``5m``, as seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the seconds."""
        try:
            return parse_duration(value)  # refuses negative ones
        except ValueError as error:
            self.fail(f"{value!r} {error}.", param, ctx)


class Since(click.ParamType[float]):
    """``30s``, ``5m`` ago, or a time (``2026-01-31T12:00:00Z``), as seconds since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns the seconds since the epoch."""
        if isinstance(value, float):
            return value
        with contextlib.suppress(ValueError):
            return time.time() - parse_duration(value)
        moment = parse_time(value)
        if moment is None:
            self.fail(
                f"{value!r} is neither a duration (30s, 5m) nor a time (2026-01-31T12:00:00Z).", param, ctx
            )
        return moment


def complete_job(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Returns the names of jobs that begin with what was typed."""
    from click.shell_completion import CompletionItem  # noqa: PLC0415  (only a completion needs these)

    from reconciler.cli.job_lookup import read_snapshot  # noqa: PLC0415
    from reconciler.common.sanitize import is_safe  # noqa: PLC0415
    from reconciler.errors import ReconcilerError  # noqa: PLC0415

    try:
        settings = load_settings({name: ctx.params.get(name) for name in ("specs", "status_dir")})
        names = [job.short_name for job in read_snapshot(settings).jobs]
    except ReconcilerError:
        return []  # a completion has nowhere to complain
    # A shell puts what is chosen into its line; no job that runs has such a name.
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and is_safe(name)]


def without_kind(words: tuple[str, ...]) -> tuple[str, ...]:
    """``job demo`` is ``demo``, as in ``kubectl describe job demo``."""
    return words[1:] if len(words) > 1 and words[0].lower() in JOB_WORDS else words


def _one_job(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> str:
    names = without_kind(words)
    if len(names) > 1:
        raise click.UsageError(f"Name one job, not {len(names)}: {', '.join(names)}.")
    return names[0]


def _several_jobs(
    _context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]
) -> tuple[str, ...]:
    return without_kind(words)


#: ``JOB``, ``NAMESPACE/JOB``, ``job JOB`` or ``job/JOB``; one or more of them. Completed from the manifests.
job_argument: Final = click.argument(
    "job", nargs=-1, required=True, metavar="JOB", callback=_one_job, shell_complete=complete_job
)
jobs_argument: Final = click.argument(
    "jobs", nargs=-1, required=True, metavar="JOB...", callback=_several_jobs, shell_complete=complete_job
)
namespace_option: Final = click.option(
    "-n", "--namespace", metavar="NAME", default=None, help="Only this namespace; default: any."
)
all_namespaces_option: Final = click.option(
    "-A", "--all-namespaces", is_flag=True, help="All namespaces, each in a column of its own."
)
