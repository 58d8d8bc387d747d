"""Options that every backend of upstream has.

An option is called with the TrainJob that is being made (plain data), the trainer, and the client; it changes
the TrainJob.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Name:
    """Call the job so, in place of a generated name."""

    name: str

    def __call__(self, job_spec: dict[str, Any], trainer: object, backend: object) -> None:  # noqa: ARG002
        """Apply it."""
        job_spec.setdefault("metadata", {})["name"] = self.name
