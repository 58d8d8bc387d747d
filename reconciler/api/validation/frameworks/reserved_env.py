"""Names of environment variables that a framework sets itself."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from reconciler.api.models.trainjob import Trainer


def reserved_env(
    trainer: Trainer | None, names: AbstractSet[str], framework: str
) -> Iterator[tuple[str, str]]:
    """A fault for each variable of the trainer that ``framework`` reserves."""
    for index, variable in enumerate(trainer.env if trainer else ()):
        if variable.name in names:
            yield (
                f"spec.trainer.env[{index}]",
                f"Forbidden: {variable.name} is reserved for the {framework} runtime; remove it",
            )
