"""The command line as data: what ``--help`` says, for the man page and the reference.

Read from click's own objects, so that neither can say anything else than the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import click

from reconciler.cli.main import SECTIONS, app
from reconciler.config.options import Option
from reconciler.config.settings import OPTION


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One option.

    Attributes:
        names: as typed, ``-o, --output``.
        value: its argument, ``[yaml|json]``; empty for a switch.
        text: its help.
        shown: whether ``--help`` lists it; the others are settings that are accepted all the same.
        setting: whether it is one of the settings, which are described once for all commands.
    """

    names: str
    value: str
    text: str
    shown: bool
    setting: bool


@dataclass(frozen=True, kw_only=True)
class Command:
    """One subcommand.

    Attributes:
        section: heading it stands under in the general help.
        synopsis: arguments after its name.
        summary: its line in the list of commands.
        text: its own help.
        flags: its options, in the order of the help.
        epilog: heading to lines, ``Example`` as a rule.
    """

    name: str
    section: str
    synopsis: str
    summary: str
    text: str
    flags: tuple[Flag, ...]
    epilog: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def own_flags(self) -> tuple[Flag, ...]:
        """The options that are this command's alone."""
        return tuple(flag for flag in self.flags if flag.shown and not flag.setting)

    @property
    def settings(self) -> tuple[str, ...]:
        """The settings that its help shows, by the first of their names."""
        return tuple(flag.names.split(",")[0] for flag in self.flags if flag.shown and flag.setting)


def sections() -> Iterator[tuple[str, Iterator[Command]]]:
    """Yields heading and commands of each section, in the order of the general help."""
    return groupby(commands(), key=lambda command: command.section)


def setting_names(option: Option) -> str:
    """Returns a setting as it is typed: ``--auto-remove, --no-auto-remove``."""
    return f"--{option.flag}, --no-{option.flag}" if option.boolean else f"--{option.flag}"


def setting_value(option: Option) -> str:
    """Returns its argument; empty for a switch."""
    return option.metavar or "|".join(option.choices)


def commands() -> Iterator[Command]:
    """Yields every subcommand, in the order of the general help."""
    root = click.Context(app, info_name="reconciler", **app.context_settings)
    for section, entries in SECTIONS.items():
        for name, summary in entries.items():
            command = app.get_command(root, name)
            assert command is not None
            context = click.Context(command, info_name=name, parent=root)
            if not isinstance(command, click.Group):
                yield _command(command, context, section, summary)
                continue
            for inner in command.list_commands(context):
                found = command.get_command(context, inner)
                assert found is not None
                below = click.Context(found, info_name=inner, parent=context)
                yield _command(found, below, section, found.get_short_help_str(limit=200))


def _command(command: click.Command, context: click.Context, section: str, summary: str) -> Command:
    flags = [_flag(p, context) for p in command.get_params(context) if isinstance(p, click.Option)]
    return Command(
        name=context.command_path.removeprefix("reconciler "),
        section=section,
        synopsis=" ".join(command.collect_usage_pieces(context)),
        summary=summary,
        text=" ".join((command.help or "").split()),
        flags=tuple(flags),
        epilog=tuple(paragraphs(command.epilog or "")),
    )


def _flag(option: click.Option, context: click.Context) -> Flag:
    names = [*option.opts, *option.secondary_opts]
    record = option.get_help_record(context)
    text = record[1] if record else str(option.help or "")
    value = "" if option.is_flag else option.make_metavar(context)
    return Flag(
        names=", ".join(sorted(names, key=lambda n: (n.startswith("--"), names.index(n)))),
        value=value,
        text=re.sub(r"\s+", " ", text),
        shown=not option.hidden,
        setting=option.name in OPTION,
    )


def paragraphs(epilog: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields heading and lines of each block that click leaves as it is."""
    for block in epilog.split("\b\n"):
        lines = [line.rstrip() for line in block.splitlines() if line.strip()]
        if lines:
            yield lines[0].rstrip(":"), tuple(line.removeprefix("  ") for line in lines[1:])
