"""Options that every backend of upstream has.

An option is called with the fields of the TrainJob (plain data), the trainer and the backend, and sets
fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Name:
    """``metadata.name`` of the TrainJob, in place of a generated name."""

    name: str

    def __call__(self, job_spec: dict[str, Any], trainer: object, backend: object) -> None:  # noqa: ARG002
        """Sets the field."""
        job_spec.setdefault("metadata", {})["name"] = self.name
