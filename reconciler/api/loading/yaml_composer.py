"""YAML text to plain data with the line of every field, within limits.

The documents are composed here from libyaml's events, not by PyYAML, for three reasons: Kubernetes reads
scalars by other rules (:mod:`reconciler.api.yaml_scalars`), a key given twice is an error, and a file that
anybody can put into the folder must not exhaust the daemon's memory or time, so depth, nodes and the
expansion of aliases are counted. Each part between ``---`` lines is parsed separately, as ``kubectl`` does,
so that a broken document does not invalidate the others of its file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import yaml
from yaml import events as ev

from reconciler.api import yaml_scalars
from reconciler.api.field_paths import FieldPath

MAX_DEPTH: Final = 100
#: Nodes of a document.
MAX_NODES: Final = 100_000
#: Nodes that the aliases of a document expand to.
MAX_ALIASED: Final = 100_000
#: Parts of a file between ``---`` lines, without empty ones and those of comments only.
MAX_PARTS: Final = 10_000
#: Long text counts as further nodes, one for this many characters.
_TEXT_PER_NODE: Final = 256

_MARKER: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_CONTENT: Final = re.compile(r"^(?![ \t\r]*(?:#|$)|%|\.\.\.[ \t\r]*$|---[ \t\r]*(?:#.*)?$)", re.MULTILINE)
_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATES: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
#: Shared by all scalars, to save memory.
_NO_CHILDREN: Final[Mapping[str | int, Any]] = MappingProxyType({})
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class FieldLocation:
    """The line (1-based) of a value, and the locations of the fields or items in it."""

    line: int
    children: Mapping[str | int, FieldLocation] = field(default_factory=lambda: _NO_CHILDREN)

    def at(self, path: FieldPath) -> FieldLocation:
        """Returns the location of ``path``, or of its nearest parent that exists."""
        location = self
        for part in path:
            inner = location.children.get(part)
            if inner is None:
                break
            location = inner
        return location


@dataclass(frozen=True, slots=True)
class YamlFault:
    """A fault of the YAML text itself; ``path`` is empty where it belongs to no field."""

    line: int
    message: str
    path: FieldPath = ()


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document of a file: plain data, the locations of its fields, faults of its text.

    Of a ``rejected`` one there is no data, and one fault.
    """

    value: Any
    location: FieldLocation
    faults: tuple[YamlFault, ...] = ()
    rejected: bool = False


class _RejectedError(Exception):
    """The document cannot be composed."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.fault = YamlFault(line, message)


def compose(text: str) -> Iterator[YamlDocument]:
    """Yields the documents of ``text``, without empty ones; an unparsable part is a rejected one."""
    if bad := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        message = f"not valid YAML: the character U+{ord(bad[0]):04X} is not allowed; remove it or escape it"
        yield _reject(YamlFault(line, message))
        return
    for number, (first_line, part) in enumerate(_split(text)):
        if number == MAX_PARTS:
            message = f"the file has more than {MAX_PARTS:,} documents; the rest is not read: split it"
            yield _reject(YamlFault(first_line, message))
            return
        try:
            yield from list(_Composer(part, first_line).documents())
        except _RejectedError as error:
            yield _reject(error.fault)
        except yaml.YAMLError as error:
            yield _reject(_describe_syntax_error(error, part, first_line))


def _reject(fault: YamlFault) -> YamlDocument:
    return YamlDocument(None, FieldLocation(fault.line), (fault,), rejected=True)


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Yields the parts of the text between ``---`` lines, each with its first line, without empty ones.

    Empty parts are skipped without copying them: a file may have millions of them.
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
        yield line, _join_surrogates(part)
        line += part.count("\n")
        position = end


def _join_surrogates(part: str) -> str:
    r"""Returns JSON text with its surrogate pairs (``\ud83d\ude00``), which YAML does not know, replaced."""
    if not part.removeprefix("---").lstrip().startswith(("{", "[")):
        return part
    return _SURROGATES.sub(
        lambda pair: (
            pair[0].encode().decode("unicode-escape").encode("utf-16", "surrogatepass").decode("utf-16")
        ),
        part,
    )


def _describe_syntax_error(error: yaml.YAMLError, part: str, first_line: int) -> YamlFault:
    """Returns a parser's error as a sentence with its line and a remedy."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return YamlFault(first_line, f"not valid YAML: {error}")
    mark = error.problem_mark or error.context_mark
    line = first_line + (mark.line if mark else 0)
    said = error.problem or "it cannot be parsed"
    if "maximum nesting depth" in said:
        # libyaml 0.2.6 and newer parse ahead, so their limit is met before that of the composer.
        return YamlFault(line, f"nested deeper than {MAX_DEPTH} levels")
    if error.context:
        started = error.context_mark.line + first_line if error.context_mark else line
        said += f", {error.context}" + (f" (from line {started})" if started != line else "")
    remedy = "; check the indentation"
    if "cannot start any token" in said and "\t" in _line_of(part, line - first_line):
        remedy = "; YAML does not allow tabs for indentation: use spaces"
    elif "end of stream" in said or "document indicator" in said:
        remedy = "; something is opened and never closed: is the file complete?"
    return YamlFault(line, f"not valid YAML: {said}{remedy}")


def _line_of(part: str, index: int) -> str:
    lines = part.split("\n", index + 1)
    return lines[index] if index < len(lines) else ""


#: A value, its location and its weight: how many nodes an alias of it adds.
_Node: TypeAlias = tuple[Any, FieldLocation, int]


class _Composer:
    """Composes one part of a file."""

    def __init__(self, text: str, first_line: int) -> None:
        self._next = _LOADER(text).get_event
        self._offset = first_line
        self._nodes = 0
        self._aliased = 0
        #: None while the node is still being composed.
        self._anchors: dict[str, _Node | None] = {}
        self._faults: list[YamlFault] = []

    def documents(self) -> Iterator[YamlDocument]:
        """Yields every document of the part (more than one where ``...`` ends them)."""
        while True:
            event = self._next()
            if type(event) is ev.StreamEndEvent:
                return
            if type(event) is ev.DocumentStartEvent:
                self._nodes = self._aliased = 0
                self._anchors.clear()
                self._faults = []
                value, location, _ = self._compose_node(self._next(), (), 0)
                if value is not None or self._faults:
                    yield YamlDocument(value, location, tuple(self._faults))

    def _compose_node(self, event: Any, path: FieldPath, depth: int) -> _Node:
        """Returns the node that begins with ``event``."""
        line = event.start_mark.line + self._offset
        if type(event) is ev.AliasEvent:
            return self._resolve_alias(str(event.anchor), line)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _RejectedError(line, f"the document has more than {MAX_NODES:,} values; split it")
        if type(event) is ev.ScalarEvent:
            value: Any = self._parse_scalar(event, line)
            node: _Node = (value, FieldLocation(line), 1 + len(event.value) // _TEXT_PER_NODE)
        else:
            if depth >= MAX_DEPTH:
                raise _RejectedError(line, f"nested deeper than {MAX_DEPTH} levels")
            if event.anchor:
                self._anchors[event.anchor] = None
            self._check_tag(event, line)
            is_mapping = type(event) is ev.MappingStartEvent
            compose_children = self._compose_mapping if is_mapping else self._compose_sequence
            node = compose_children(line, path, depth + 1)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _resolve_alias(self, name: str, line: int) -> _Node:
        if name not in self._anchors:
            raise _RejectedError(line, f"not valid YAML: the alias *{name} has no anchor &{name} before it")
        node = self._anchors[name]
        if node is None:
            raise _RejectedError(line, f"not valid YAML: the anchor &{name} contains itself")
        value, location, weight = node
        self._aliased += weight
        if self._aliased > MAX_ALIASED:
            raise _RejectedError(
                line,
                f"the aliases of this document expand to more than {MAX_ALIASED:,} values; write them out",
            )
        return value, FieldLocation(line, location.children), weight

    def _parse_scalar(self, event: Any, line: int) -> yaml_scalars.Scalar:
        try:
            if event.tag is not None:
                return yaml_scalars.parse_tagged(event.tag, event.value)
        except ValueError as error:
            raise _RejectedError(line, str(error)) from error
        return yaml_scalars.parse_plain(event.value) if event.implicit[0] else str(event.value)

    def _check_tag(self, event: Any, line: int) -> None:
        wanted = "map" if type(event) is ev.MappingStartEvent else "seq"
        if event.tag not in (None, "!", f"tag:yaml.org,2002:{wanted}"):
            raise _RejectedError(line, f"the tag {event.tag} is not supported; leave it out")

    def _compose_sequence(self, line: int, path: FieldPath, depth: int) -> _Node:
        values: list[Any] = []
        children: dict[str | int, FieldLocation] = {}
        total = 1
        while type(event := self._next()) is not ev.SequenceEndEvent:
            index = len(values)
            value, location, weight = self._compose_node(event, (*path, index), depth)
            values.append(value)
            children[index] = location
            total += weight
        return values, FieldLocation(line, children), total

    def _compose_mapping(self, line: int, path: FieldPath, depth: int) -> _Node:
        values: dict[str, Any] = {}
        children: dict[str | int, FieldLocation] = {}
        merged: list[tuple[Any, FieldLocation]] = []
        total = 1
        while type(event := self._next()) is not ev.MappingEndEvent:
            key_line = event.start_mark.line + self._offset
            is_merge = type(event) is ev.ScalarEvent and event.value == "<<" and event.implicit[0]
            key = "<<" if is_merge else self._compose_key(event, key_line, depth)
            value, location, weight = self._compose_node(self._next(), (*path, key), depth)
            total += weight + 1
            location = FieldLocation(key_line, location.children)
            if is_merge:
                merged.append((value, location))
            elif key in values:
                message = (
                    f"Duplicate value: the key {key!r} is given twice (first on line {children[key].line})"
                )
                self._faults.append(YamlFault(key_line, message, (*path, key)))
            else:
                values[key] = value
                children[key] = location
        for value, location in merged:
            self._merge(value, location, values, children)
        return values, FieldLocation(line, children), total

    def _compose_key(self, event: Any, line: int, depth: int) -> str:
        value, _, _ = self._compose_node(event, (), depth)
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str | int | float):
            return str(value)
        kind = "null" if value is None else "a list or mapping"
        raise _RejectedError(line, f"a key must be a string, not {kind}; put it in quotes")

    def _merge(
        self,
        value: Any,
        location: FieldLocation,
        values: dict[str, Any],
        children: dict[str | int, FieldLocation],
    ) -> None:
        """Adds a ``<<`` mapping, or the mappings of a list; keys that are there already win."""
        if isinstance(value, list):
            for index, item in enumerate(value):
                self._merge(item, location.at((index,)), values, children)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key not in values:
                    values[key] = inner
                    children[key] = FieldLocation(location.line, location.at((key,)).children)
        else:
            raise _RejectedError(location.line, "the value of << must be a mapping, or a list of mappings")
