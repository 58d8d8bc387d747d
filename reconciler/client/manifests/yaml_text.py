"""Changes to YAML (and JSON) text at the places the parser reports; pure.

Each function proposes a :class:`Splice` or None where the layout is none it knows. Proposals are not
proofs: the caller parses the outcome and compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, kw_only=True)
class Place:
    """An object in a file: number of its document and, in a List, of its item."""

    document: int
    item: int | None = None

    def of(self, documents: list[Any]) -> Any:
        """The object itself."""
        found = documents[self.document]
        return found if self.item is None else found["items"][self.item]


@dataclass(frozen=True, kw_only=True)
class Splice:
    """Characters ``start`` to ``end`` become ``text``."""

    start: int
    end: int
    text: str

    def apply(self, source: str) -> str:
        """The changed text."""
        return source[: self.start] + self.text + source[self.end :]


def clone(value: Any) -> Any:
    """A copy in which nothing is shared."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def set_value(text: str, place: Place, path: tuple[str, ...], value: Any) -> Splice | None:
    """Set a scalar below an object, and make the mappings on the way that are missing."""
    node = _object_node(text, place)
    key_node: yaml.Node | None = None
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            return None
        entry = next((pair for pair in node.value if pair[0].value == key), None)
        missing = path[depth:]
        if entry is None:
            return _insert(text, key_node, node, missing, value)
        key_node, child = entry
        rest = path[depth + 1 :]
        if rest and _is_empty(child):
            return _fill(text, node, child, rest, value)
        node = child
    if not isinstance(node, yaml.ScalarNode) or node.style in {"|", ">"}:
        return None
    return Splice(start=node.start_mark.index, end=node.end_mark.index, text=_scalar(value))


def remove_document(text: str, place: Place) -> Splice | None:
    """Take a document out, from its ``---`` to the next one's."""
    starts: list[int] = [
        event.start_mark.index
        for event in yaml.parse(text)
        if isinstance(event, yaml.DocumentStartEvent) and event.start_mark is not None
    ]
    number = place.document
    if number >= len(starts):
        return None
    begin = starts[number]
    if number == 0 and not text.startswith("---", begin):
        begin = 0  # comments above a document without a marker are its own
    end = starts[number + 1] if number + 1 < len(starts) else len(text)
    return Splice(start=begin, end=end, text="")


def _object_node(text: str, place: Place) -> yaml.Node | None:
    nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    # An empty document composes to None only when it is the whole stream; else to an empty scalar.
    node = nodes[place.document] if place.document < len(nodes) else None
    if place.item is None or not isinstance(node, yaml.MappingNode):
        return node
    items = next((value for key, value in node.value if key.value == "items"), None)
    return items.value[place.item] if isinstance(items, yaml.SequenceNode) else None


def _insert(
    text: str, key_node: yaml.Node | None, node: yaml.MappingNode, path: tuple[str, ...], value: Any
) -> Splice | None:
    """A new first entry of a mapping that has others."""
    if not node.value:
        return None
    first = node.value[0][0]
    at = first.start_mark.index
    if node.flow_style:
        opening = text.rfind("{", 0, at)
        space = text[opening + 1 : at]
        if space.strip():
            return None  # a comment in between
        entry = _flow_entry(path, value, quoted=_is_json(text))
        return Splice(start=at, end=at, text=f"{entry},{space if chr(10) in space else ' '}")
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = " " * first.start_mark.column
    lines = newline.join(_block_entry(path, value, indent))
    if key_node is None or first.start_mark.line <= key_node.start_mark.line:
        # The first line keeps the place of the old first key (behind "- " in a list).
        return Splice(start=at, end=at, text=f"{lines[len(indent) :]}{newline}{indent}")
    # Right below the parent's key, so that a comment above the old first key stays with it.
    line_end = text.find("\n", key_node.end_mark.index) + 1
    return Splice(start=line_end, end=line_end, text=lines + newline)


def _fill(
    text: str, parent: yaml.MappingNode, child: yaml.Node, path: tuple[str, ...], value: Any
) -> Splice | None:
    """Replace ``{}`` or nothing by a mapping in flow style."""
    written = "{" + _flow_entry(path, value, quoted=_is_json(text) and bool(parent.flow_style)) + "}"
    start, end = child.start_mark.index, child.end_mark.index
    return Splice(start=start, end=end, text=written if end > start else f" {written}")


def _is_empty(node: yaml.Node) -> bool:
    if isinstance(node, yaml.MappingNode):
        return not node.value
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _is_json(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("{")


def _flow_entry(path: tuple[str, ...], value: Any, *, quoted: bool) -> str:
    key = json.dumps(path[0]) if quoted else path[0]
    if len(path) == 1:
        return f"{key}: {_scalar(value)}"
    return f"{key}: {{{_flow_entry(path[1:], value, quoted=quoted)}}}"


def _block_entry(path: tuple[str, ...], value: Any, indent: str) -> list[str]:
    if len(path) == 1:
        return [f"{indent}{path[0]}: {_scalar(value)}"]
    return [f"{indent}{path[0]}:", *_block_entry(path[1:], value, indent + "  ")]


def _scalar(value: Any) -> str:
    """JSON's form, which YAML reads alike."""
    return json.dumps(value, ensure_ascii=False)
