"""Faults of manifests as ``validate`` prints them, and as the JSON of ``validate`` and ``plan``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler.cli.output.console import echo, styled

if TYPE_CHECKING:
    from reconciler.api import Fault


def fault_data(faults: Sequence[Fault]) -> dict[str, list[dict[str, object]]]:
    """Returns ``{"errors": [...], "warnings": [...]}``, a contract (DESIGN)."""
    return {
        "errors": [fault.as_dict() for fault in faults if fault.severity == "error"],
        "warnings": [fault.as_dict() for fault in faults if fault.severity == "warning"],
    }


def print_faults(faults: Sequence[Fault]) -> None:
    """Prints ``file:line: path: message`` for each fault on standard output."""
    for fault in faults:
        place = styled(f"{fault.file}:{fault.line}:", bold=True)
        path = f" {fault.path}:" if fault.path else ""
        warning = styled(" warning:", fg="yellow") if fault.severity == "warning" else ""
        echo(place, warning, f"{path} {fault.message}")
