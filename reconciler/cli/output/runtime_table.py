"""The columns of ``get runtimes``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from reconciler.cli.output.tables import Row
from reconciler.names import LABEL_FRAMEWORK

if TYPE_CHECKING:
    from reconciler.sources.folder.catalog import Catalog, RuntimeKey


def runtime_rows(catalog: Catalog, keys: Iterable[RuntimeKey], *, wide: bool) -> list[Row]:
    """Builds a row for each of the named runtimes."""
    rows = []
    for key in keys:
        kind, namespace, name = key
        own = catalog.runtimes.get(key)
        document = own or catalog.fallback_runtimes[key]
        spec: Any = document.raw.get("spec") or {}
        policy = spec.get("mlPolicy") or {}
        labels = (document.raw.get("metadata") or {}).get("labels") or {}
        cells = {
            "KIND": kind,
            "NAMESPACE": namespace or "-",
            "NAME": name,
            "FRAMEWORK": labels.get(LABEL_FRAMEWORK) or _framework(policy),
            "NODES": str(policy.get("numNodes") or 1),
            "SOURCE": "folder" if own else "built-in",
        }
        if wide:
            cells["FILE"] = f"{document.file}:{document.line}"
        rows.append(Row(cells=cells))
    return rows


def _framework(policy: Any) -> str:
    named = [key for key in policy if key != "numNodes"] if isinstance(policy, dict) else []
    return named[0] if named else "plain"
