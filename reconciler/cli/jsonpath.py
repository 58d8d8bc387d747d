"""kubectl's JSONPath templates (``-o jsonpath='{.items[*].metadata.name}'``): parsed and filled. Pure.

The language is client-go's ``util/jsonpath``: text with expressions in braces, ``{range ...}{end}``, quoted
text, fields with escaped dots, indexes, slices, unions, wildcards, recursive descent and filters. What is
missing in the data prints nothing, as with kubectl. A template without braces that begins like a path is
taken for one.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

#: Returns what a step finds from one value.
Step = Callable[[Any], Iterator[Any]]

_FIELD: Final = re.compile(r"(?:\\.|[^\s.\[\]{}()=!<>\"'\\,|&])+")
_SLICE: Final = re.compile(r"\s*(-?\d*)\s*:\s*(-?\d*)\s*(?::\s*(-?\d+)\s*)?")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?![\w.])")
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


class TemplateError(ValueError):
    """The template is wrong; the message says where."""


@dataclass(frozen=True)
class _Text:
    text: str


@dataclass(frozen=True)
class _Path:
    """From the root (``$``) or from where a range is (``@`` and a leading dot)."""

    steps: tuple[Step, ...]
    from_root: bool = False

    def find(self, root: Any, current: Any) -> list[Any]:
        values = [root if self.from_root else current]
        for step in self.steps:
            values = [found for value in values for found in step(value)]
        return values


@dataclass(frozen=True)
class _Range:
    path: _Path
    body: list[_Text | _Path | _Range] = field(default_factory=list)


_Node = _Text | _Path | _Range


class Template:
    """A parsed template.

    Raises:
        TemplateError: it cannot be parsed.
    """

    def __init__(self, text: str) -> None:
        if "{" not in text and text[:1] in {".", "$"}:
            text = f"{{{text}}}"
        self._nodes = _parse(text)

    def render(self, data: Any) -> str:
        """Returns the text for an object; several values of one expression have a blank between them."""
        return "".join(_render(node, data, data) for node in self._nodes)


def _render(node: _Node, root: Any, current: Any) -> str:
    if isinstance(node, _Text):
        return node.text
    if isinstance(node, _Path):
        return " ".join(_show(value) for value in node.find(root, current))
    found = node.path.find(root, current)
    items = [item for value in found for item in (value if isinstance(value, list) else [value])]
    return "".join(_render(part, root, item) for item in items for part in node.body)


def _show(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _parse(text: str) -> list[_Node]:
    """The nodes of a template; ranges are nested."""
    top: list[_Node] = []
    open_ranges: list[list[_Node]] = [top]
    position = 0
    while position < len(text):
        start = text.find("{", position)
        if start < 0:
            open_ranges[-1].append(_Text(text[position:]))
            break
        if start > position:
            open_ranges[-1].append(_Text(text[position:start]))
        parser = _Expression(text, start + 1)
        for node in parser.nodes():
            if node == "end":
                if len(open_ranges) == 1:
                    raise TemplateError("{end} without {range}")
                open_ranges.pop()
            else:
                assert not isinstance(node, str)  # noqa: S101  ("end" is the only word)
                open_ranges[-1].append(node)
                if isinstance(node, _Range):
                    open_ranges.append(node.body)
        position = parser.position
    if len(open_ranges) > 1:
        raise TemplateError("{range} without {end}")
    return top


class _Expression:
    """Reads what is between braces, from a position on."""

    def __init__(self, text: str, position: int) -> None:
        self.text = text
        self.position = position

    def nodes(self) -> Iterator[_Node | str]:
        while True:
            self._skip_blanks()
            if self._take("}"):
                return
            if self._peek() in {'"', "'"}:
                yield _Text(self._string())
            elif self._word("range"):
                yield _Range(self._path())
            elif self._word("end"):
                yield "end"
            else:
                yield self._path()

    # -- paths

    def _path(self) -> _Path:
        self._skip_blanks()
        from_root = self._take("$")
        if not from_root:
            self._take("@")
        steps: list[Step] = []
        begin = self.position
        while True:
            if self._take(".."):
                steps.append(_descend)
                if self._peek() == "[":
                    continue
                steps.append(self._field_step())
            elif self._take("."):
                if self._peek() in {"", "}", ")", " "}:
                    continue  # `{.}` is the value itself
                if self._peek() != "[":
                    steps.append(self._field_step())
            elif self._take("["):
                steps.append(self._bracket_step())
            elif not steps and self.position == begin and _FIELD.match(self.text, self.position):
                steps.append(self._field_step())  # `{metadata.name}`
            else:
                break
        if not steps and self.position == begin and not from_root and self.text[begin - 1] != "@":
            raise self._error("a path is expected")
        return _Path(tuple(steps), from_root=from_root)

    def _field_step(self) -> Step:
        if self._take("*"):
            return _wildcard
        found = _FIELD.match(self.text, self.position)
        if found is None:
            raise self._error("a field's name is expected")
        self.position = found.end()
        return _field(re.sub(r"\\(.)", r"\1", found.group()))

    def _bracket_step(self) -> Step:
        self._skip_blanks()
        if self._take("?"):
            return self._filter_step()
        parts: list[Step] = []
        while True:
            self._skip_blanks()
            if self._peek() in {'"', "'"}:
                parts.append(_field(self._string()))
            elif self._take("*"):
                parts.append(_wildcard)
            elif (found := _SLICE.match(self.text, self.position)) is not None:
                self.position = found.end()
                parts.append(_slice(*(int(g) if g else None for g in found.groups())))
            else:
                parts.append(_index(self._integer()))
            self._skip_blanks()
            if self._take("]"):
                return parts[0] if len(parts) == 1 else _union(parts)
            if not self._take(","):
                raise self._error("] is expected")

    def _filter_step(self) -> Step:
        self._expect("(")
        left = self._operand()
        self._skip_blanks()
        compare = next((op for op in _OPERATORS if self._take(op)), None)
        right = self._operand() if compare is not None else None
        self._skip_blanks()
        self._expect(")")
        self._skip_blanks()
        self._expect("]")
        return _filter(left, compare, right)

    def _operand(self) -> _Path | _Text | float | bool | None:
        self._skip_blanks()
        if self._peek() in {'"', "'"}:
            return _Text(self._string())
        if (found := _NUMBER.match(self.text, self.position)) is not None:
            self.position = found.end()
            return float(found.group())
        for word, value in (("true", True), ("false", False)):
            if self._word(word):
                return value
        return self._path()

    # -- characters

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _take(self, wanted: str) -> bool:
        if self.text.startswith(wanted, self.position):
            self.position += len(wanted)
            return True
        return False

    def _word(self, word: str) -> bool:
        if re.compile(rf"{word}(?![\w.\[\\/-])").match(self.text, self.position) is None:
            return False
        return self._take(word)

    def _expect(self, wanted: str) -> None:
        if not self._take(wanted):
            raise self._error(f"{wanted} is expected")

    def _skip_blanks(self) -> None:
        while self._peek().isspace():
            self.position += 1

    def _integer(self) -> int:
        found = re.compile(r"-?\d+").match(self.text, self.position)
        if found is None:
            raise self._error("an index is expected")
        self.position = found.end()
        return int(found.group())

    def _string(self) -> str:
        quote = self._peek()
        self.position += 1
        characters = []
        while (character := self._peek()) != quote:
            if not character:
                raise self._error(f"{quote} is missing")
            self.position += 1
            if character == "\\":
                escaped = self._peek()
                self.position += 1
                character = _ESCAPES.get(escaped, escaped)
            characters.append(character)
        self.position += 1
        return "".join(characters)

    def _error(self, what: str) -> TemplateError:
        rest = self.text[self.position : self.position + 20]
        return TemplateError(f"{what} at {rest!r}" if rest else f"{what} at its end")


# -- what the steps find


def _field(name: str) -> Step:
    def find(value: Any) -> Iterator[Any]:
        if isinstance(value, Mapping) and name in value:
            yield value[name]

    return find


def _wildcard(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _descend(value: Any) -> Iterator[Any]:
    """The value and everything below it."""
    yield value
    for child in _wildcard(value):
        yield from _descend(child)


def _index(number: int) -> Step:
    def find(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= number < len(value):
            yield value[number]

    return find


def _slice(start: int | None, end: int | None, step: int | None) -> Step:
    def find(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[slice(start, end, step or None)]

    return find


def _union(parts: Sequence[Step]) -> Step:
    def find(value: Any) -> Iterator[Any]:
        for part in parts:
            yield from part(value)

    return find


def _filter(left: Any, compare: str | None, right: Any) -> Step:
    def matches(item: Any) -> bool:
        found = _operands(left, item)
        if compare is None:
            return bool(found)
        return any(_compare(one, compare, other) for one in found for other in _operands(right, item))

    def find(value: Any) -> Iterator[Any]:
        yield from (item for item in _wildcard(value) if matches(item))

    return find


def _operands(operand: Any, item: Any) -> list[Any]:
    if isinstance(operand, _Path):
        return operand.find(item, item)
    return [operand.text if isinstance(operand, _Text) else operand]


def _compare(one: Any, compare: str, other: Any) -> bool:
    if isinstance(one, bool) is not isinstance(other, bool) and compare in {"==", "!="}:
        return compare == "!="
    try:
        return bool(_OPERATORS[compare](one, other))
    except TypeError:
        return False  # a text and a number
