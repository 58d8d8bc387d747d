"""The columns of ``get source``, the followed repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.cli.output.tables import Row


def source_row(document: Mapping[str, Any], *, wide: bool) -> Row:
    """Builds the row of a repository from its status document."""
    spec, status = document.get("spec") or {}, document.get("status") or {}
    ready: Mapping[str, str] = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})
    revision = str(status.get("revision") or "")
    cells = {
        "REPOSITORY": str(spec.get("url", "")),
        "REF": str(status.get("ref", "")).removeprefix("refs/heads/"),
        "PATH": str(spec.get("path") or "/"),
        "READY": ready.get("status", "Unknown"),
        "REVISION": (revision if wide else revision[:12]) or "-",
        "MESSAGE": ready.get("message", ""),
    }
    return Row(cells=cells, styles={"READY": "green" if cells["READY"] == "True" else "red"})
