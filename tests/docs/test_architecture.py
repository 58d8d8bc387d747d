"""The rooms of the package are as ``docs/architecture.md`` says, and what it names is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import grimp

from tests.docs.pages import DOCS, ROOT

PACKAGE = ROOT / "reconciler"
PAGE = DOCS / "architecture.md"
LOG_EVENTS = DOCS / "reference" / "log-events.md"

#: Modules that have the names of ``kubeflow.trainer``, which code written for it imports.
UPSTREAM = ("client/backends/", "client/constants/", "client/options/", "client/types/")
#: Modules that lie flat in a folder, at most.
FLAT = 15
#: Modules of ``reconciler/controller`` that import each other in a row, at most.
CHAIN = 8
#: Modules that a field of a manifest, or an exit, passes on its way, at most.
WAY = 8
LEVELS = frozenset({"debug", "info", "warning", "error", "exception"})
PATH = re.compile(
    r"`((?:reconciler|tests|docs|scripts|specs|crds|systemd|man|packaging|benchmarks)/[\w./-]+)`"
)


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_path_on_the_page_exists() -> None:
    named = PATH.findall(PAGE.read_text(encoding="utf-8"))

    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_table_of_changes_names_a_file_for_each_of_at_least_twenty() -> None:
    table = rows("To change X, go to Y")

    assert len(table) >= 20
    assert [change for change, place in table if not PATH.search(place)] == []


def test_the_list_of_modules_is_up_to_date() -> None:
    script = ROOT / "scripts" / "generate_module_list.py"

    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_a_module_has_a_name_of_its_own() -> None:
    places = defaultdict(list)
    for path in modules():
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith(UPSTREAM):
            places[path.name].append(name)

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_folder_has_more_files_than_one_takes_in_at_a_glance() -> None:
    flat = defaultdict(int)
    for path in modules():
        flat[path.parent.relative_to(ROOT).as_posix()] += 1

    assert {folder: count for folder, count in flat.items() if count > FLAT} == {}


def test_only_what_every_layer_uses_lies_at_the_root() -> None:
    loose = {path.name for path in PACKAGE.glob("*.py")}

    assert loose == {"__init__.py", "__main__.py", "errors.py", "names.py"}


def test_every_room_says_what_belongs_in_it_and_what_it_must_not_import() -> None:
    silent = []
    for path in sorted(PACKAGE.rglob("__init__.py")):
        name = path.relative_to(PACKAGE).as_posix()
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        if path.parent != PACKAGE and not name.startswith(UPSTREAM) and "import" not in text.lower():
            silent.append(name)

    assert silent == []


def test_imports_in_the_controller_are_not_stacked_deeper_than_one_can_follow() -> None:
    graph = grimp.build_graph("reconciler", exclude_type_checking_imports=True, cache_dir=None)
    inside = {name for name in graph.modules if f"{name}.".startswith("reconciler.controller.")}

    @cache
    def longest(name: str) -> tuple[str, ...]:
        imported = graph.find_modules_directly_imported_by(name) & inside
        return (name, *max((longest(other) for other in sorted(imported)), key=len, default=()))

    chain = max((longest(name) for name in inside), key=len)

    assert len(chain) <= CHAIN, "\n".join(chain)


def logged() -> set[str]:
    """What the daemon logs: the first argument of each call of a module's structlog logger."""
    found = set()
    for path in modules():
        text = path.read_text(encoding="utf-8")
        if "structlog" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and _is_logger(node.func) and node.args:
                found |= {
                    part.value
                    for part in ast.walk(node.args[0])
                    if isinstance(part, ast.Constant) and isinstance(part.value, str)
                }
    return found


def _is_logger(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id == "log"
    if not isinstance(function, ast.Attribute) or function.attr not in LEVELS:
        return False
    receiver = function.value
    name = receiver.id if isinstance(receiver, ast.Name) else getattr(receiver, "attr", "")
    return name in {"_log", "log"}


def test_every_log_event_stands_in_the_reference_and_nothing_else_does() -> None:
    documented = set(re.findall(r"^\| `([^`]+)` \|", LOG_EVENTS.read_text(encoding="utf-8"), re.MULTILINE))

    assert documented == logged()
