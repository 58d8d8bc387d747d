"""The columns of ``get runtimes``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.api.framework_names import find_framework
from reconciler.cli.output.tables import Row
from reconciler.common.mappings import mapping_at

if TYPE_CHECKING:
    from reconciler.sources.folder.catalog import Catalog, RuntimeKey


def runtime_rows(catalog: Catalog, keys: Iterable[RuntimeKey], *, wide: bool) -> list[Row]:
    """Builds a row for each of the named runtimes."""
    rows = []
    for key in keys:
        kind, namespace, name = key
        own = catalog.runtimes.get(key)
        document = own or catalog.fallback_runtimes[key]
        cells = {
            "KIND": kind,
            "NAMESPACE": namespace or "-",
            "NAME": name,
            "FRAMEWORK": find_framework(document.raw),
            "NODES": str(mapping_at(document.raw, "spec", "mlPolicy").get("numNodes") or 1),
            "SOURCE": "folder" if own else _outside_source(document.file),
        }
        if wide:
            cells["FILE"] = f"{document.file}:{document.line}"
        rows.append(Row(cells=cells))
    return rows


def _outside_source(file: str) -> str:
    """Whether a runtime from outside the folder came with this program, or by ``--runtime-source``."""
    from reconciler.sources.runtimes.builtin_runtimes import builtin_folder  # noqa: PLC0415  (not for --help)

    folder = builtin_folder()
    return "built-in" if folder is not None and Path(file).is_relative_to(folder) else "runtime-source"
