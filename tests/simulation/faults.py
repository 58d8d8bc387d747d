"""Where the simulated world may break: every engine call and every file write, before and after its effect.

All points of a run are numbered in one row, so that "kill the daemon at point 17, after the effect" means the
same thing in each replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Side = Literal["before", "after"]


class Killed(BaseException):
    """kill -9: nothing of the daemon's memory is left, and no handler of its may run."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One call that changes or reads the world.

    Attributes:
        what: the engine's method, or ``write``, ``unlink``, ``rmtree``.
        target: name of the thing or file.
    """

    number: int
    what: str
    target: str

    def __str__(self) -> str:
        return f"{self.number}:{self.what}({self.target})"


#: Given the point and the side, raises what shall go wrong there, or returns.
Injector = Callable[[Point, Side], None]


def nothing(_point: Point, _side: Side) -> None:
    """All goes well."""


@dataclass
class Faults:
    """Counts the points, and lets the injector break them."""

    injector: Injector = nothing
    trace: list[Point] = field(default_factory=list)
    tracing: bool = False
    count: int = 0

    @contextmanager
    def point(self, what: str, target: str) -> Iterator[None]:
        """Around one effect."""
        at = Point(number=self.count, what=what, target=target)
        self.count += 1
        if self.tracing:
            self.trace.append(at)
        self.injector(at, "before")
        yield
        self.injector(at, "after")

    def calm(self) -> None:
        """From now on all goes well."""
        self.injector = nothing


def once(number: int, side: Side, make: Callable[[], BaseException]) -> Injector:
    """Something that goes wrong at one point, once."""

    def inject(point: Point, at: Side) -> None:
        if point.number == number and at == side:
            raise make()

    return inject
