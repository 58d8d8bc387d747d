"""The user service's unit files: where they are, what is written into them, and systemd's quoting.

The files of ``systemd/`` are written as they are but for ``ExecStart``: it names the program that this
installation has, and the folder. What a person changes belongs into a drop-in, so a unit written again loses
nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from reconciler.common.xdg_folders import xdg_folder
from reconciler.errors import ReconcilerError

UNIT: Final = "reconciler.service"
TEMPLATE: Final = "reconciler@.service"
_HEADER: Final = "# Written by `reconciler systemd install`; `reconciler systemd uninstall` removes it."
_PACKAGE: Final = Path(__file__).resolve().parents[2]
#: The folder in a command line that :func:`render_unit` wrote.
_SPECS: Final = re.compile(r'^ExecStart=.* run --specs ("(?:[^"\\]|\\.)*"|\S+)', re.MULTILINE)


def unit_path(name: str) -> Path:
    """Returns the path of one of the user's own units."""
    return xdg_folder("XDG_CONFIG_HOME", ".config") / "systemd" / "user" / name


def render_unit(name: str, *, specs: Path | None, options: Sequence[str]) -> str:
    """Returns a unit with this installation's command line.

    Args:
        name: of the unit or the template, which has the instance's folder.
        specs: the folder; None: a repository is followed, which settings name.
        options: further ones, of ``reconciler run``.
    """
    variables = "%i.env" if name == TEMPLATE else "reconciler.env"
    folder = "%f" if name == TEMPLATE else _quote(str(specs))
    words = [
        *(_quote(word) for word in _program()),
        "run",
        *(() if specs is None and name != TEMPLATE else ("--specs", folder)),
        f"--env-file=-%E/reconciler/{variables}",
        *(_quote(word) for word in options),
    ]
    command = "ExecStart=" + " ".join(words)
    text = re.sub(r"^ExecStart=.*$", lambda _: command, _read_shipped(name), flags=re.MULTILINE)
    return f"{_HEADER}\n{text}"


def is_generated(text: str) -> bool:
    """Whether a unit was written by :func:`render_unit`."""
    return text.startswith(_HEADER)


def parse_specs(text: str) -> str:
    """Returns the folder that a generated unit serves; "" where it follows a repository."""
    found = _SPECS.search(text)
    if found is None:
        return ""
    words = shlex.split(found[1].replace("$$", "$"))
    return words[0].replace("%%", "%") if words else ""


def _read_shipped(name: str) -> str:
    """The text of a unit that comes with this project.

    Raises:
        ReconcilerError: this installation has none.
    """
    for folder in (_PACKAGE / "units", _PACKAGE.parent / "systemd"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise ReconcilerError(f"This installation has no {name}.", remedy="Install the package again.")


def _program() -> tuple[str, ...]:
    """How this installation's ``reconciler`` is started, whatever ``PATH`` a service manager has."""
    beside = Path(sys.executable).parent / "reconciler"
    return (str(beside),) if os.access(beside, os.X_OK) else (sys.executable, "-m", "reconciler")


def _quote(word: str) -> str:
    """A word of a command line as systemd reads it: no specifier, no variable, one word.

    Raises:
        ReconcilerError: it has a line break in it, which ends the line in a unit.
    """
    if "\n" in word or "\r" in word:
        raise ReconcilerError("A unit's command line cannot have a line break in it.")
    text = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./$-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
