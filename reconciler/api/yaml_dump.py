"""Plain data to YAML that Kubernetes (and :mod:`reconciler.api.loading.loader`) reads back as it was.

PyYAML's own dumper leaves ``y``, ``1e-4`` and ``0o17`` bare, which go-yaml reads as a boolean and numbers; an
environment variable written so is refused by a cluster, and here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import yaml

from reconciler.api.loading.scalars import plain

_BASE: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BASE):  # type: ignore[misc]
    """Quotes every string that would be read as something else, and writes long text as a block."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: Any, text: str) -> Any:
    style = None
    if "\n" in text and not text.isspace():
        style = "|"
    elif not text or plain(text) is not text:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(*documents: Any) -> str:
    """The YAML text of one or several documents, keys in their order."""
    return dump_all(documents)


def dump_all(documents: Iterable[Any]) -> str:
    """The YAML text of documents, ``---`` between them."""
    text: str = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110
    )
    return text
