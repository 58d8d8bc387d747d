"""Variables from a file, so that they can be read again while the daemon runs (``--env-file``).

The format is that of systemd's ``EnvironmentFile=``: ``NAME=value`` lines, comments with ``#`` or ``;``,
values as they are or in quotes. systemd reads such a file only when it starts a process; this one is read at
a reload too. Variables that the process was started with win over the file, as flags win over variables.

What can go wrong: a malformed line is reported with file and line, and nothing of the file is applied.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.common.host_looks import LOOKS
from reconciler.common.os_errors import reason_of
from reconciler.common.regular_files import read_regular_text
from reconciler.errors import ConfigError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED = re.compile(r'\\(["\\$`])')


@dataclass(kw_only=True)
class EnvironmentFile:
    """One file, and the variables that were applied from it.

    Attributes:
        path: of the file.
        optional: it need not exist.
    """

    path: Path
    optional: bool = False
    environ: MutableMapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    _applied: set[str] = field(default_factory=set)
    _lines: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_option(cls, text: str) -> EnvironmentFile:
        """Takes ``PATH``, or ``-PATH`` for a file that need not exist, as in systemd's units."""
        return cls(path=Path(text.removeprefix("-")).expanduser(), optional=text.startswith("-"))

    def apply(self) -> Callable[[], None]:
        """Puts the file's variables into the environment, in place of those it gave before.

        Returns:
            A function that undoes it.

        Raises:
            ConfigError: the file is missing or malformed; nothing was changed.
        """
        found, lines = self._read()
        before, applied_before, lines_before = dict(self.environ), set(self._applied), self._lines
        for name in self._applied - found.keys():
            self.environ.pop(name, None)
        self._applied = found.keys() - (before.keys() - applied_before)
        self._lines = lines
        for name in self._applied:
            self.environ[name] = found[name]

        def undo() -> None:
            for name in self._applied | applied_before:
                self.environ.pop(name, None)
            self.environ.update({name: before[name] for name in applied_before if name in before})
            self._applied, self._lines = applied_before, lines_before

        return undo

    def locate(self, error: ConfigError) -> ConfigError:
        """Returns the error with file and line, where it is about a variable that came from this file."""
        name = next(iter(_NAME.findall(error.message)), "")
        if name not in self._applied:
            return error
        return ConfigError(f"{self.path}:{self._lines[name]}: {error.message}", remedy=error.remedy)

    def _read(self) -> tuple[dict[str, str], dict[str, int]]:
        try:
            text = LOOKS.run(str(self.path), lambda _: read_regular_text(self.path))
        except FileNotFoundError:
            if self.optional:
                return {}, {}
            remedy = f"Create it, or write --env-file=-{self.path} if it need not exist."
            raise ConfigError(f"{self.path} does not exist.", remedy=remedy) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path} cannot be read: {reason_of(error)}.") from None
        values: dict[str, str] = {}
        lines: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            stripped = line.strip()
            if not stripped or stripped.startswith(("#", ";")):
                continue
            place = f"{self.path}:{number}"
            name, equals, value = stripped.partition("=")
            if not equals or not _NAME.fullmatch(name):
                raise ConfigError(f"{place}: this line is not of the form NAME=value.")
            values[name] = _unquote(value.strip(), place)
            if "\0" in value:
                raise ConfigError(f"{place}: the value of {name} holds a zero byte.")
            lines[name] = number
        return values, lines


def _unquote(value: str, place: str) -> str:
    quote = value[:1]
    if quote not in {'"', "'"}:
        return value
    if len(value) < 2 or not value.endswith(quote):
        raise ConfigError(f"{place}: the quote {quote} is not closed.")
    inner = value[1:-1]
    return _ESCAPED.sub(r"\1", inner) if quote == '"' else inner
