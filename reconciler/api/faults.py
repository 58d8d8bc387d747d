"""A fault in a manifest, with its place: what every check of this package reports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

_LONGEST_VALUE: Final = 80

#: Values of ``Fault.reason``, for code that must tell faults apart.
#: The runtime of a TrainJob is missing or invalid: the job waits, it is not rejected.
RUNTIME_NOT_FOUND: Final = "RuntimeNotFound"
#: An object is defined more than once.
DUPLICATE: Final = "Duplicate"
#: An immutable field has changed.
IMMUTABLE_FIELD: Final = "ImmutableField"
#: The file is a kustomization or a Helm chart.
NOT_RENDERED: Final = "NotRendered"
#: No status file can lie beside the manifest: its name, or the path, would be too long.
STATUS_FILE: Final = "StatusFile"

#: Field path and message of each fault that a rule finds; the caller knows the document.
Findings: TypeAlias = Iterator[tuple[str, str]]


@dataclass(frozen=True, kw_only=True, order=True)
class Fault:
    """An error or a warning in a manifest.

    Attributes:
        file: path of the file as given.
        line: 1-based line of the field, or of the document where the field is missing; 0 unknown.
        path: as in Kubernetes, ``spec.trainer.env[0].name``; empty for the document as a whole.
        message: what is wrong and what to do.
        object: ``Kind/namespace/name`` (``Kind/name`` when cluster-scoped); empty before it is known.
        severity: warnings do not make an object invalid.
        reason: one of the constants above, or empty.
    """

    file: str
    line: int
    path: str
    message: str
    object: str = ""
    severity: Literal["error", "warning"] = "error"
    reason: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form of ``validate -o json``."""
        return {
            "file": self.file,
            "line": self.line,
            "path": self.path,
            "message": self.message,
            "object": self.object,
        }


def check_supported(value: str | None, supported: Sequence[str], path: str) -> Findings:
    """Yields a fault where ``value`` is given and is none of ``supported``."""
    if value is not None and value not in supported:
        listed = ", ".join(f'"{known}"' for known in supported)
        yield path, f'Unsupported value: "{value}": supported values: {listed}'


def format_value(value: Any) -> str:
    """Returns a value as JSON for a message, cut to a readable length."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
