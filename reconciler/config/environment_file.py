"""Variables from a file, so that they can be read again while the daemon runs (``--env-file``).

The form is that of systemd's ``EnvironmentFile=``: ``NAME=value`` lines, comments with ``#`` or ``;``, values
as they are or in quotes. systemd itself reads such a file only when it starts a process; this one is read at
a reload too. Variables that the process was started with win over the file, as flags win over variables.

What can go wrong: a line that is none: said with file and line, and nothing of the file is taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.errors import ConfigError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPED = re.compile(r'\\(["\\$`])')


@dataclass(kw_only=True)
class EnvironmentFile:
    """One file, and what of the environment came from it.

    Attributes:
        path: of the file.
        optional: it need not be there.
    """

    path: Path
    optional: bool = False
    environ: MutableMapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    _ours: set[str] = field(default_factory=set)
    _lines: dict[str, int] = field(default_factory=dict)

    @classmethod
    def named(cls, text: str) -> EnvironmentFile:
        """``-PATH`` need not be there, as in units of systemd."""
        return cls(path=Path(text.removeprefix("-")).expanduser(), optional=text.startswith("-"))

    def apply(self) -> Callable[[], None]:
        """Put what the file says into the environment, in place of what it said before.

        Returns:
            What undoes it.

        Raises:
            ConfigError: the file is missing, or wrong; nothing was changed.
        """
        found, lines = self._read()
        before, ours, old_lines = dict(self.environ), set(self._ours), self._lines
        for name in self._ours - found.keys():
            self.environ.pop(name, None)
        theirs = before.keys() - ours
        self._ours = found.keys() - theirs
        self._lines = lines
        for name in self._ours:
            self.environ[name] = found[name]

        def undo() -> None:
            for name in self._ours | ours:
                self.environ.pop(name, None)
            self.environ.update({name: before[name] for name in ours if name in before})
            self._ours, self._lines = ours, old_lines

        return undo

    def located(self, error: ConfigError) -> ConfigError:
        """The error with file and line, where it is about a variable that came from here."""
        name = next(iter(_NAME.findall(error.message)), "")
        if name not in self._ours:
            return error
        return ConfigError(f"{self.path}:{self._lines[name]}: {error.message}", remedy=error.remedy)

    def _read(self) -> tuple[dict[str, str], dict[str, int]]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            if self.optional:
                return {}, {}
            remedy = f"Make it, or write --env-file=-{self.path} if it need not be there."
            raise ConfigError(f"{self.path} is not there.", remedy=remedy) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path} cannot be read: {error}.") from None
        values: dict[str, str] = {}
        lines: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), start=1):
            stripped = line.strip()
            if not stripped or stripped.startswith(("#", ";")):
                continue
            name, equals, value = stripped.partition("=")
            if not equals or not _NAME.fullmatch(name):
                raise ConfigError(f"{self.path}:{number}: this is no line of the form NAME=value.")
            values[name] = _unquoted(value.strip(), f"{self.path}:{number}")
            lines[name] = number
        return values, lines


def _unquoted(value: str, place: str) -> str:
    quote = value[:1]
    if quote not in {'"', "'"}:
        return value
    if len(value) < 2 or not value.endswith(quote):
        raise ConfigError(f"{place}: the quote {quote} is not closed.")
    inner = value[1:-1]
    return _ESCAPED.sub(r"\1", inner) if quote == '"' else inner
