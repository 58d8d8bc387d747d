"""Rows, and tables of them for terminals and pipes alike; the columns stand in the ``*_table`` modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from reconciler.cli.output.console import print_block
from reconciler.common.sanitize import sanitize_text

if TYPE_CHECKING:
    from rich.table import Table

#: Columns that a narrow terminal may cut; names stay whole, because they are copied.
TRUNCATED_COLUMNS: Final = frozenset({"METRICS", "MESSAGE"})
#: Columns that change by themselves: no reason to print a row again.
TIME_COLUMNS: Final = frozenset({"AGE", "DURATION"})


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table.

    Attributes:
        cells: text by column, in the order of the columns.
        styles: style by column, for some of them.
    """

    cells: dict[str, str]
    styles: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> tuple[tuple[str, str], ...]:
        """The cells whose change is a reason to print the row again."""
        return tuple((k, v) for k, v in self.cells.items() if k not in TIME_COLUMNS)


def build_table(rows: Sequence[Row], *, header: bool = True) -> Table:
    """Builds a table of the first row's columns as kubectl lays it out: no lines, a bold header."""
    from rich.table import Table  # noqa: PLC0415  (not for --help)
    from rich.text import Text  # noqa: PLC0415

    columns = list(rows[0].cells) if rows else []
    table = Table(box=None, show_header=header, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True, overflow="ellipsis" if column in TRUNCATED_COLUMNS else "fold")
    for row in rows:
        table.add_row(*(Text(sanitize_text(row.cells[c]), style=row.styles.get(c, "")) for c in columns))
    return table


def print_table(rows: Sequence[Row], *, header: bool = True) -> None:
    """Prints the rows as a table on standard output."""
    print_block(build_table(rows, header=header))
