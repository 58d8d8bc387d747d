"""Writes the list of modules in ``docs/architecture.md``; ``--check`` only says whether it is up to date.

Run it after a module has come, gone or changed its purpose: ``python scripts/generate_module_list.py``. What
the list says of a module is the first sentence of its docstring.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
HEADING = "## Every module\n"
INTRODUCTION = """\
For what no row above names: the first sentence of each docstring (by `scripts/generate_module_list.py`).
"""
#: Sphinx roles, and what they point at: the name alone is left.
_ROLE = re.compile(r":\w+(?::\w+)?:`~?(?:[\w.]+\.)?(\w+)`")


def module_list() -> str:
    """Returns the section, from its heading to the end of the page."""
    return f"{HEADING}\n{INTRODUCTION}" + "".join(_lines())


def _lines() -> Iterator[str]:
    paths = sorted((ROOT / "reconciler").rglob("*.py"), key=lambda path: (path.parent, path.name))
    for folder, group in groupby(paths, key=lambda path: path.parent):
        modules = [path for path in group if not path.name.startswith("__")]
        if modules:
            yield f"\n**`{folder.relative_to(ROOT)}`**: {_first_sentence(folder / '__init__.py')}\n\n"
        for path in modules:
            yield f"* `{path.name}`: {_first_sentence(path)}\n"


def _first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraph = " ".join(text.partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[.!?]) (?=[A-Z])", paragraph)[0]
    return _ROLE.sub(r"`\1`", sentence).replace("``", "`")


def main() -> int:
    """Writes the page, or checks it; 1 where it is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    old = PAGE.read_text(encoding="utf-8")
    new = f"{old.partition(HEADING)[0].rstrip()}\n\n{module_list()}"
    if options.check:
        if new != old:
            print(f"{PAGE} is not up to date: python scripts/generate_module_list.py", file=sys.stderr)
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
