"""A fault in a manifest, with its place: the one currency of validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True, order=True)
class Fault:
    """One thing wrong (or, as a warning, without meaning here) in a manifest.

    Attributes:
        file: path of the file as given.
        line: 1-based line of the field, or of the document where the field is missing; 0 unknown.
        path: as in Kubernetes, ``spec.trainer.env[0].name``; empty for the document as a whole.
        message: what is wrong and what to do.
        object: ``Kind/namespace/name`` (``Kind/name`` when cluster-scoped); empty before it is known.
        severity: warnings do not make an object invalid.
    """

    file: str
    line: int
    path: str
    message: str
    object: str = ""
    severity: Literal["error", "warning"] = "error"
    #: For code that must tell faults apart, as in ``RuntimeNotFound`` (the job waits, it is not refused).
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
