"""Plain data to YAML that Kubernetes, and :mod:`reconciler.api.loading.loader`, read back unchanged.

PyYAML's own dumper leaves ``y``, ``1e-4`` and ``0o17`` unquoted, which go-yaml reads as a boolean and
numbers: an environment variable written so is rejected by a cluster, and here.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from reconciler.api.yaml_scalars import parse_plain

_BASE: Final[Any] = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BASE):  # type: ignore[misc]
    """Quotes every string that would be read as another type, and writes long text as a block."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _represent_text(dumper: Any, text: str) -> Any:
    style = None
    if "\n" in text and not text.isspace():
        style = "|"
    elif not text or parse_plain(text) is not text:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump(*documents: Any) -> str:
    """Returns the YAML text of one or several documents, keys in their order."""
    text: str = yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=110
    )
    return text
