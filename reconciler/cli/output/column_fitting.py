"""Which columns of a table stand side by side in a terminal's width, and how wide each is. Pure.

Columns have a priority and, where they are free text, a minimum below which they say nothing. Text shrinks
first, the least important to its minimum; where that is not enough, the least important columns give way as a
whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

#: Blanks between columns, and between those of a table that has to be narrow.
GAP: Final = 3
NARROW_GAP: Final = 2


@dataclass(frozen=True, kw_only=True)
class Column:
    """How a column behaves where there is not enough room for all.

    Attributes:
        priority: the lowest gives way first.
        minimum: characters that a text may shrink to; None: the column is whole, or not there.
    """

    priority: int
    minimum: int | None = None


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The layout of a table.

    Attributes:
        widths: by column, of those side by side, in their order.
        left_out: the others, in their order.
        gap: blanks between columns.
    """

    widths: Mapping[str, int]
    left_out: tuple[str, ...]
    gap: int


def fit_columns(natural: Mapping[str, int], columns: Mapping[str, Column], available: int) -> Fit:
    """Returns the layout of a table.

    Args:
        natural: the width that each column would like, in the table's order.
        columns: how each of them behaves.
        available: characters in a line.
    """
    if _total(list(natural.values()), GAP) <= available:
        return Fit(widths=dict(natural), left_out=(), gap=GAP)
    shown = list(natural)
    least = {name: _least(natural[name], columns[name]) for name in natural}
    while len(shown) > 1 and _total([least[name] for name in shown], NARROW_GAP) > available:
        shown.remove(min(shown, key=lambda name: (columns[name].priority, -shown.index(name))))
    widths = {name: min(least[name], available) for name in shown}
    spare = available - _total(list(widths.values()), NARROW_GAP)
    for name in sorted(shown, key=lambda name: -columns[name].priority):
        more = min(natural[name] - widths[name], spare)
        if more > 0:
            widths[name] += more
            spare -= more
    return Fit(widths=widths, left_out=tuple(n for n in natural if n not in widths), gap=NARROW_GAP)


def _least(natural: int, column: Column) -> int:
    return natural if column.minimum is None else min(natural, column.minimum)


def _total(widths: Sequence[int], gap: int) -> int:
    return sum(widths) + gap * (len(widths) - 1)
