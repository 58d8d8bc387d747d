"""Warnings of a plan: fields that are accepted and have no effect, or a smaller one, on one host."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class FieldWarnings:
    """A field path, and the warnings that it shares with all paths made from it by :meth:`child`.

    The pods of a step are planned one by one and give the same warnings: each is kept once.
    """

    path: str = ""
    _warnings: dict[tuple[str, str], None] = field(default_factory=dict)

    def child(self, field: str) -> FieldWarnings:
        """Returns the path of a field below this one."""
        return FieldWarnings(_join(self.path, field), self._warnings)

    def add(self, field: str, message: str) -> None:
        """Warns about a field below this path."""
        self._warnings.setdefault((_join(self.path, field), message))

    @property
    def all(self) -> tuple[tuple[str, str], ...]:
        """Path and message of every warning, in order."""
        return tuple(self._warnings)


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field
