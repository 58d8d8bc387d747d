"""Public names of a package that are imported when they are first used (PEP 562).

A package that imports slow modules to re-export their names makes every user of the package wait: building
the pydantic models takes a fifth of a second, which ``reconciler --help`` must not spend. Type checkers do
not see through ``__getattr__`` and need imports under ``TYPE_CHECKING``; :func:`lazy_exports` reads these
imports from the package's source, so that each name stands in one place: an installation needs its ``.py``
files.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazy_exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Its public names are those of its one ``if TYPE_CHECKING`` block: ``from ... import X as X``.
    """
    module: Any = sys.modules[package]
    # Not get_source(): it imports tokenize, which takes longer than all the rest.
    tree = ast.parse(module.__spec__.loader.get_data(module.__file__))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module for node in imports for alias in node.names}

    def get_attribute(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = import_module(f"{package}.{name}") if home == package else getattr(import_module(home), name)
        setattr(module, name, value)
        return value

    return get_attribute, lambda: sorted({*vars(module), *homes}), sorted(homes)
