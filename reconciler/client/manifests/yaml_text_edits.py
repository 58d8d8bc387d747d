"""Edits of YAML and JSON text at the positions that the parser reports. Pure.

Each function proposes the edited text, or None where it does not know the layout. A proposal is not proven
right: the caller parses it and compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, kw_only=True)
class ObjectPosition:
    """Position of an object in a file: index of its document and, in a List, of its item."""

    document: int
    item: int | None = None

    def get(self, documents: list[Any]) -> Any:
        """Returns the object."""
        found = documents[self.document]
        return found if self.item is None else found["items"][self.item]


def edit_value(text: str, position: ObjectPosition, path: tuple[str, ...], value: Any) -> str | None:
    """Proposes to set a scalar below an object, with the mappings on the way that are missing."""
    node = _object_node(text, position)
    key_node: yaml.Node | None = None
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            return None
        entry = next((pair for pair in node.value if pair[0].value == key), None)
        if entry is None:
            return _insert_entry(text, key_node, node, path[depth:], value)
        key_node, child = entry
        rest = path[depth + 1 :]
        if rest and _is_empty(child):
            return _replace_empty(text, node, child, rest, value)
        node = child
    if not isinstance(node, yaml.ScalarNode) or node.style in {"|", ">"}:
        return None
    return text[: node.start_mark.index] + _scalar(value) + text[node.end_mark.index :]


def edit_out_document(text: str, index: int) -> str | None:
    """Proposes to remove a document, from its ``---`` to the next one's."""
    starts: list[int] = [
        event.start_mark.index
        for event in yaml.parse(text)
        if isinstance(event, yaml.DocumentStartEvent) and event.start_mark is not None
    ]
    if index >= len(starts):
        return None
    start = starts[index]
    if index == 0 and not text.startswith("---", start):
        start = 0  # comments above a document without a marker are its own
    return text[:start] + (text[starts[index + 1] :] if index + 1 < len(starts) else "")


def _object_node(text: str, position: ObjectPosition) -> yaml.Node | None:
    nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    # An empty document composes to None only when it is the whole stream; else to an empty scalar.
    node = nodes[position.document] if position.document < len(nodes) else None
    if position.item is None or not isinstance(node, yaml.MappingNode):
        return node
    items = next((value for key, value in node.value if key.value == "items"), None)
    return items.value[position.item] if isinstance(items, yaml.SequenceNode) else None


def _insert_entry(
    text: str, key_node: yaml.Node | None, node: yaml.MappingNode, path: tuple[str, ...], value: Any
) -> str | None:
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
        return f"{text[:at]}{entry},{space if chr(10) in space else ' '}{text[at:]}"
    newline = "\r\n" if "\r\n" in text else "\n"
    indent = " " * first.start_mark.column
    lines = [f"{indent}{'  ' * depth}{key}:" for depth, key in enumerate(path)]
    entry = f"{newline.join(lines)} {_scalar(value)}"
    if key_node is None or first.start_mark.line <= key_node.start_mark.line:
        # The first line keeps the place of the old first key (behind "- " in a list).
        return f"{text[:at]}{entry[len(indent) :]}{newline}{indent}{text[at:]}"
    # Right below the parent's key, so that a comment above the old first key stays with it.
    line_end = text.find("\n", key_node.end_mark.index) + 1
    return text[:line_end] + entry + newline + text[line_end:]


def _replace_empty(
    text: str, parent: yaml.MappingNode, child: yaml.Node, path: tuple[str, ...], value: Any
) -> str:
    """A mapping in flow style in place of ``{}`` or of nothing."""
    written = "{" + _flow_entry(path, value, quoted=_is_json(text) and bool(parent.flow_style)) + "}"
    start, end = child.start_mark.index, child.end_mark.index
    return text[:start] + (written if end > start else f" {written}") + text[end:]


def _is_empty(node: yaml.Node) -> bool:
    if isinstance(node, yaml.MappingNode):
        return not node.value
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _is_json(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("{")


def _flow_entry(path: tuple[str, ...], value: Any, *, quoted: bool) -> str:
    keys = [json.dumps(key) if quoted else key for key in path]
    return ": {".join(keys) + f": {_scalar(value)}" + "}" * (len(keys) - 1)


def _scalar(value: Any) -> str:
    """JSON's form, which YAML reads alike."""
    return json.dumps(value, ensure_ascii=False)
