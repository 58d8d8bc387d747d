"""YAML text to plain data, with the line of every field, within bounds.

libyaml's parser gives events; they are put together here rather than by PyYAML because Kubernetes wants
other scalars (:mod:`reconciler.api.loading.scalars`), duplicate keys are errors, and a file that anybody can drop
into a folder must not be able to take the daemon's memory or time: depth, nodes and what aliases expand to
are counted while composing. Each part between ``---`` lines is parsed by itself, as ``kubectl`` does it, so
that a broken document does not take the others of its file along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import yaml
from yaml import events as ev

from reconciler.api.field_paths import Path
from reconciler.api.loading import scalars

MAX_DEPTH: Final = 100
#: Nodes of a document, and nodes that its aliases add.
MAX_NODES: Final = 100_000
MAX_ALIASED: Final = 100_000
#: Parts of a file between ``---`` lines, those that are empty or comments left out.
MAX_PARTS: Final = 10_000
#: Text counts too: this many characters of it are worth a node.
_TEXT_PER_NODE: Final = 256

_MARKER: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_CONTENT: Final = re.compile(r"^(?![ \t\r]*(?:#|$)|%|\.\.\.[ \t\r]*$|---[ \t\r]*(?:#.*)?$)", re.MULTILINE)
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATES: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
#: One for all that hold nothing, which most do.
_NOTHING: Final[Mapping[str | int, Any]] = MappingProxyType({})
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: its line (1-based), and the places of what it holds."""

    line: int
    children: Mapping[str | int, Place] = field(default_factory=lambda: _NOTHING)

    def find(self, path: Path) -> int:
        """The line of ``path``, or of the nearest parent that exists."""
        place = self
        for part in path:
            inner = place.children.get(part)
            if inner is None:
                break
            place = inner
        return place.line

    def at(self, *path: str | int) -> Place:
        """The place of ``path``, or of the nearest parent."""
        place = self
        for part in path:
            place = place.children.get(part, place)
        return place


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the text itself; ``path`` is empty where it is of no field."""

    line: int
    message: str
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Composed:
    """One document: plain data (None when refused), places, and what was wrong with it."""

    value: Any
    place: Place
    problems: tuple[Problem, ...] = ()
    refused: bool = False


class _RefusedError(Exception):
    """The document cannot be composed; carries the :class:`Problem`."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, message)


def compose(text: str) -> Iterator[Composed]:
    """The documents of ``text`` in order, empty ones left out; a part that does not parse is one, refused."""
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        message = f"not valid YAML: the character U+{ord(bad[0]):04X} is not allowed; remove it or escape it"
        yield Composed(None, Place(line), (Problem(line, message),), refused=True)
        return
    for number, (first_line, part) in enumerate(_parts(text)):
        if number == MAX_PARTS:
            message = f"the file has more than {MAX_PARTS:,} documents; the rest is not read: split it"
            yield Composed(None, Place(first_line), (Problem(first_line, message),), refused=True)
            return
        composer = _Composer(part, first_line)
        try:
            yield from list(composer.documents())
        except _RefusedError as refusal:
            problem = refusal.problem
            yield Composed(None, Place(problem.line), (problem,), refused=True)
        except yaml.YAMLError as error:
            problem = _syntax_problem(error, part, first_line)
            yield Composed(None, Place(problem.line), (problem,), refused=True)


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """The text cut before each ``---`` line, with the line on which each part begins; empty ones left out.

    What holds nothing is stepped over without being cut out: a file may have millions of empty documents.
    """
    position, line = 0, 1
    while content := _CONTENT.search(text, position):
        start = content.start()
        if not _MARKER.match(text, start):
            before = text.rfind("\n---", position, start)
            start = position if before < 0 else before + 1
        following = _MARKER.search(text, content.start() + 1)
        end = following.start() if following else len(text)
        line += text.count("\n", position, start)
        part = text[start:end]
        yield line, _joined_surrogates(part)
        line += part.count("\n")
        position = end


def _joined_surrogates(part: str) -> str:
    r"""JSON writes characters beyond U+FFFF as two escapes (``\ud83d\ude00``), which YAML does not know."""
    if not part.removeprefix("---").lstrip().startswith(("{", "[")):
        return part
    return _SURROGATES.sub(
        lambda pair: (
            pair[0].encode().decode("unicode-escape").encode("utf-16", "surrogatepass").decode("utf-16")
        ),
        part,
    )


def _syntax_problem(error: yaml.YAMLError, part: str, first_line: int) -> Problem:
    """A parser's error as a sentence with its line."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(first_line, f"not valid YAML: {error}")
    mark = error.problem_mark or error.context_mark
    line = first_line + (mark.line if mark else 0)
    said = error.problem or "it cannot be parsed"
    if "maximum nesting depth" in said:
        # libyaml 0.2.6 and newer look ahead, and are the first to refuse.
        return Problem(line, f"nested deeper than {MAX_DEPTH} levels")
    if error.context:
        started = error.context_mark.line + first_line if error.context_mark else line
        said += f", {error.context}" + (f" (from line {started})" if started != line else "")
    remedy = "; check the indentation"
    if "cannot start any token" in said and "\t" in _line_of(part, line - first_line):
        remedy = "; YAML does not allow tabs for indentation: use spaces"
    elif "end of stream" in said or "document indicator" in said:
        remedy = "; something is opened and never closed: is the file complete?"
    return Problem(line, f"not valid YAML: {said}{remedy}")


def _line_of(part: str, index: int) -> str:
    lines = part.split("\n", index + 1)
    return lines[index] if index < len(lines) else ""


@dataclass(slots=True)
class _Anchor:
    """What an anchor stands for; ``value`` is missing while it is still being composed."""

    value: Any
    place: Place
    weight: int
    ready: bool = True


class _Composer:
    """Composes one part of a file."""

    def __init__(self, text: str, first_line: int) -> None:
        self._next = _LOADER(text).get_event
        self._offset = first_line
        self._nodes = 0
        self._aliased = 0
        self._anchors: dict[str, _Anchor] = {}
        self._problems: list[Problem] = []

    def documents(self) -> Iterator[Composed]:
        """Every document of the part (more than one where ``...`` ends them)."""
        while True:
            event = self._next()
            if type(event) is ev.StreamEndEvent:
                return
            if type(event) is ev.DocumentStartEvent:
                self._nodes = self._aliased = 0
                self._anchors.clear()
                self._problems = []
                value, place, _ = self._node(self._next(), (), 0)
                if value is not None or self._problems:
                    yield Composed(value, place, tuple(self._problems))

    def _node(self, event: Any, path: Path, depth: int) -> tuple[Any, Place, int]:
        """Value, place and weight of the node that begins with ``event``."""
        line = event.start_mark.line + self._offset
        if type(event) is ev.AliasEvent:
            return self._alias(event.anchor, line)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _RefusedError(line, f"the document has more than {MAX_NODES:,} values; split it")
        if type(event) is ev.ScalarEvent:
            value: Any = self._scalar(event, line)
            node = (value, Place(line), 1 + len(event.value) // _TEXT_PER_NODE)
        else:
            if depth >= MAX_DEPTH:
                raise _RefusedError(line, f"nested deeper than {MAX_DEPTH} levels")
            if event.anchor:
                self._anchors[event.anchor] = _Anchor(None, Place(line), 0, ready=False)
            compose = self._mapping if type(event) is ev.MappingStartEvent else self._sequence
            self._check_tag(event, line)
            node = compose(line, path, depth + 1)
        if event.anchor:
            self._anchors[event.anchor] = _Anchor(*node)
        return node

    def _alias(self, name: str | None, line: int) -> tuple[Any, Place, int]:
        anchor = self._anchors.get(name or "")
        if anchor is None:
            raise _RefusedError(line, f"not valid YAML: the alias *{name} has no anchor &{name} before it")
        if not anchor.ready:
            raise _RefusedError(line, f"not valid YAML: the anchor &{name} contains itself")
        self._aliased += anchor.weight
        if self._aliased > MAX_ALIASED:
            raise _RefusedError(
                line,
                f"the aliases of this document expand to more than {MAX_ALIASED:,} values; write them out",
            )
        return anchor.value, Place(line, anchor.place.children), anchor.weight

    def _scalar(self, event: Any, line: int) -> scalars.Scalar:
        try:
            if event.tag is not None:
                return scalars.tagged(event.tag, event.value)
        except ValueError as error:
            raise _RefusedError(line, str(error)) from error
        return scalars.plain(event.value) if event.implicit[0] else str(event.value)

    def _check_tag(self, event: Any, line: int) -> None:
        wanted = "map" if type(event) is ev.MappingStartEvent else "seq"
        if event.tag not in (None, "!", f"tag:yaml.org,2002:{wanted}"):
            raise _RefusedError(line, f"the tag {event.tag} is not supported; leave it out")

    def _sequence(self, _line: int, path: Path, depth: int) -> tuple[list[Any], Place, int]:
        values: list[Any] = []
        children: dict[str | int, Place] = {}
        total = 1
        while type(event := self._next()) is not ev.SequenceEndEvent:
            index = len(values)
            value, place, weight = self._node(event, (*path, index), depth)
            values.append(value)
            children[index] = place
            total += weight
        return values, Place(_line, children), total

    def _mapping(self, _line: int, path: Path, depth: int) -> tuple[dict[str, Any], Place, int]:
        values: dict[str, Any] = {}
        children: dict[str | int, Place] = {}
        merged: list[tuple[Any, Place]] = []
        total = 1
        while type(event := self._next()) is not ev.MappingEndEvent:
            line = event.start_mark.line + self._offset
            is_merge = type(event) is ev.ScalarEvent and event.value == "<<" and event.implicit[0]
            key = "<<" if is_merge else self._key(event, line, depth)
            value, place, weight = self._node(self._next(), (*path, key), depth)
            total += weight + 1
            if is_merge:
                merged.append((value, Place(line, place.children)))
            elif key in values:
                message = (
                    f"Duplicate value: the key {key!r} is given twice (first on line {children[key].line})"
                )
                self._problems.append(Problem(line, message, (*path, key)))
            else:
                values[key] = value
                children[key] = Place(line, place.children)
        for value, place in merged:
            self._merge(value, place, values, children)
        return values, Place(_line, children), total

    def _key(self, event: Any, line: int, depth: int) -> str:
        value, _, _ = self._node(event, (), depth)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str | int | float):
            return str(value)
        kind = "null" if value is None else "a list or mapping"
        raise _RefusedError(line, f"a key must be a string, not {kind}; put it in quotes")

    def _merge(
        self, value: Any, place: Place, values: dict[str, Any], children: dict[str | int, Place]
    ) -> None:
        """Lay a ``<<`` mapping, or the mappings of a list, under what is there already."""
        if isinstance(value, list):
            for index, item in enumerate(value):
                self._merge(item, place.at(index), values, children)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key not in values:
                    values[key] = inner
                    children[key] = Place(place.line, place.at(key).children)
        else:
            raise _RefusedError(place.line, "the value of << must be a mapping, or a list of mappings")
