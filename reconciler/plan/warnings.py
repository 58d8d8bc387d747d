"""Warnings on the way to a plan: what is accepted and has no meaning, or a smaller one, on one host."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Notices:
    """A place in the manifest, and the list that all places share.

    The instances of a step are planned one by one and say the same things: each is kept once.
    """

    path: str
    said: dict[tuple[str, str], None] = field(default_factory=dict)

    def at(self, field: str) -> Notices:
        """The place of a field below this one."""
        return Notices(f"{self.path}.{field}" if self.path else field, self.said)

    def say(self, field: str, message: str) -> None:
        """Warn about a field below this place; ``""`` is the place itself."""
        place = f"{self.path}.{field}" if field and self.path else field or self.path
        self.said.setdefault((place, message))

    @property
    def all(self) -> tuple[tuple[str, str], ...]:
        """Everything said, in order."""
        return tuple(self.said)
