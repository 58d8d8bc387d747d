"""Rows, and tables of them for terminals and pipes alike; the columns stand in the ``*_table`` modules.

Into a pipe a table is as wide as its text, and nothing is cut. On a terminal every line has room for what is
most important (:data:`COLUMNS`): long text is cut (lists) or wrapped (pages), and columns for which no room
is left are named below the table (lists), or stand below their row (pages, ``-o wide``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from reconciler.cli.output.column_fitting import GAP, NARROW_GAP, Column, Fit, fit_columns
from reconciler.cli.output.console import UNLIMITED_WIDTH, print_block
from reconciler.common.sanitize import sanitize_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.text import Text

#: Columns that are not whole and equally important; the same name means the same in every table.
COLUMNS: Final = {
    "NAMESPACE": Column(priority=95),
    "NAME": Column(priority=100),
    "JOB": Column(priority=95),
    "RANK": Column(priority=99),
    "CONTAINER": Column(priority=90),
    "STATE": Column(priority=98),
    "PHASE": Column(priority=98),
    "TYPE": Column(priority=99),
    "STATUS": Column(priority=98),
    "REASON": Column(priority=96),
    "MESSAGE": Column(priority=80, minimum=24),
    "KIND": Column(priority=60),
    "NODES": Column(priority=85),
    "PROGRESS": Column(priority=84),
    "EXIT": Column(priority=84),
    "AGE": Column(priority=82),
    "IP": Column(priority=70),
    "RESTARTS": Column(priority=60),
    "DURATION": Column(priority=55),
    "DEVICES": Column(priority=50, minimum=16),
    "HELD BY": Column(priority=80, minimum=16),
    "WAITING": Column(priority=100),
    "SINCE": Column(priority=50),
    "RUNTIME": Column(priority=45),
    "METRICS": Column(priority=40, minimum=16),
    "IMAGE": Column(priority=38),
    "ENGINE": Column(priority=35),
    "ATTEMPT": Column(priority=33),
    "ID": Column(priority=30),
    "SUBNET": Column(priority=25),
    "REVISION": Column(priority=85),
    "REPOSITORY": Column(priority=90, minimum=20),
    "READY": Column(priority=99),
    "FILE": Column(priority=20),
    "LOG": Column(priority=15),
}
#: Of columns without an entry.
OTHER: Final = Column(priority=75)
#: Columns that change by themselves: no reason to print a row again.
TIME_COLUMNS: Final = frozenset({"AGE", "DURATION"})
#: Blanks before the lines below a row.
BELOW: Final = 4
#: Characters that text which wraps has at least beside other columns; else it stands below them.
MINIMUM_PARAGRAPH: Final = 36
#: Characters that a value has at least, however narrow the terminal is.
MINIMUM_WRAP: Final = 20


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


class FittedTable:
    """A table of the first row's columns as kubectl lays it out: no lines, a bold header.

    Args:
        rows: all with the same columns.
        header: whether the columns are named.
        whole: show everything: text wraps, and columns without room stand below their row.
        indent: blanks before each line.
    """

    def __init__(
        self, rows: Sequence[Row], *, header: bool = True, whole: bool = False, indent: int = 0
    ) -> None:
        self._columns = list(rows[0].cells) if rows else []
        self._rows = [({c: sanitize_text(row.cells[c]) for c in self._columns}, row.styles) for row in rows]
        self._header = header
        self._whole = whole
        self._indent = indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lays the table out in the width that there is now."""
        from rich.text import Text  # noqa: PLC0415  (not for --help)

        if not self._columns:
            return
        natural = {c: self._natural_width(c) for c in self._columns}
        width = _line_width(console, options) - self._indent
        fit = fit_columns(natural, {c: self._rule(c) for c in self._columns}, width)
        if self._header:
            yield from self._lines({c: Text(c, style="bold") for c in fit.widths}, fit, console)
        for cells, styles in self._rows:
            texts = {c: Text(cells[c], style=styles.get(c, "")) for c in fit.widths}
            yield from self._lines(texts, fit, console)
            if self._whole:
                yield from _lines_below({c: cells[c] for c in fit.left_out}, self._indent, width, console)
        if fit.left_out and not self._whole:
            names = ", ".join(fit.left_out)
            yield Text(f"No room for {names}: -o wide or a wider terminal shows more.", style="dim")

    def _rule(self, column: str) -> Column:
        rule = COLUMNS.get(column, OTHER)
        if not self._whole or rule.minimum is None:
            return rule
        return replace(rule, minimum=max(rule.minimum, MINIMUM_PARAGRAPH))

    def _natural_width(self, column: str) -> int:
        from rich.cells import cell_len  # noqa: PLC0415  (not for --help)

        lines = [line for cells, _ in self._rows for line in cells[column].split("\n")]
        return max([cell_len(line) for line in lines] + ([cell_len(column)] if self._header else []))

    def _lines(self, cells: dict[str, Text], fit: Fit, console: Console) -> Iterator[Text]:
        """The lines of one row: several where a cell has, or where one is wrapped."""
        from rich.text import Text  # noqa: PLC0415  (not for --help)

        columns = {
            c: self._fold(text, fit.widths[c], console, cut=not self._whole and c in COLUMNS)
            for c, text in cells.items()
        }
        for number in range(max(len(lines) for lines in columns.values())):
            line = Text(" " * self._indent, no_wrap=True, overflow="ignore")
            for column, lines in columns.items():
                if column != next(iter(columns)):
                    line.append(" " * fit.gap)
                part = lines[number] if number < len(lines) else Text()
                line.append_text(part)
                line.append(" " * max(0, fit.widths[column] - part.cell_len))
            line.rstrip()
            yield line

    @staticmethod
    def _fold(text: Text, width: int, console: Console, *, cut: bool) -> list[Text]:
        lines = list(text.split("\n"))
        if all(line.cell_len <= width for line in lines):
            return lines
        if cut:
            line = text.copy()
            line.plain = " ".join(text.plain.split())
            line.truncate(width, overflow="ellipsis")
            return [line]
        return list(text.wrap(console, width, overflow="fold"))


class Fields:
    """Names and values below each other: ``Name:   value``; long values wrap beside their name.

    A value without blanks (a path) is never broken: the terminal does that, and what is copied stays whole.
    """

    def __init__(self, fields: Mapping[str, str], *, styles: Mapping[str, str], indent: int = 0) -> None:
        self._fields = {sanitize_text(name): sanitize_text(value) for name, value in fields.items()}
        self._styles = styles
        self._indent = indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lays the fields out in the width that there is now."""
        from rich.text import Text  # noqa: PLC0415  (not for --help)

        column = max((len(name) for name in self._fields), default=0) + 1 + GAP
        width = max(_line_width(console, options) - self._indent - column, MINIMUM_WRAP)
        for name, value in self._fields.items():
            lines = _wrapped(Text(value, style=self._styles.get(name, "")), width, console)
            for number, line in enumerate(lines or [Text()]):
                label = f"{name}:" if number == 0 else ""
                yield _line(" " * self._indent, Text(f"{label:<{column}}", style="bold"), line)


def build_table(
    rows: Sequence[Row], *, header: bool = True, whole: bool = False, indent: int = 0
) -> FittedTable:
    """Builds a table; see :class:`FittedTable`."""
    return FittedTable(rows, header=header, whole=whole, indent=indent)


def print_table(rows: Sequence[Row], *, header: bool = True, whole: bool = False) -> None:
    """Prints the rows as a table on standard output."""
    print_block(build_table(rows, header=header, whole=whole))


def _line_width(console: Console, options: ConsoleOptions) -> int:
    return sys.maxsize if console.width >= UNLIMITED_WIDTH else options.max_width


def _line(*parts: str | Text) -> Text:
    """A line that is never wrapped again."""
    from rich.text import Text  # noqa: PLC0415  (not for --help)

    line = Text.assemble(*parts, no_wrap=True, overflow="ignore")
    line.rstrip()
    return line


def _lines_below(cells: dict[str, str], indent: int, width: int, console: Console) -> Iterator[Text]:
    """What had no room beside a row: ``NAME value`` pairs, as many in a line as go."""
    from rich.text import Text  # noqa: PLC0415  (not for --help)

    before, room = " " * (indent + BELOW), width - BELOW
    line = Text()
    for name, value in cells.items():
        if value in {"", "-"}:
            continue
        pair = Text.assemble((f"{name} ", "dim"), value)
        is_word = " " not in value
        if line and line.cell_len + NARROW_GAP + pair.cell_len > room:
            yield _line(before, line)
            line = Text()
        line = Text.assemble(line, " " * NARROW_GAP, pair) if line else pair
        if line.cell_len > room and is_word:
            yield _line(before, line)
            line = Text()
        elif line.cell_len > room:
            yield from (_line(before, part) for part in _wrapped(line, room, console))
            line = Text()
    if line:
        yield _line(before, line)


def _wrapped(text: Text, width: int, console: Console) -> list[Text]:
    """The lines of a text, broken between words only."""
    lines: list[Text] = []
    for paragraph in text.split("\n"):
        if paragraph.cell_len <= width or console.width >= UNLIMITED_WIDTH:
            lines.append(paragraph)
            continue
        line = paragraph.blank_copy()
        for word in paragraph.split(" "):
            if line and line.cell_len + 1 + word.cell_len > width:
                lines.append(line)
                line = paragraph.blank_copy()
            if line:
                line.append(" ")
            line.append_text(word)
        lines.append(line)
    return lines
