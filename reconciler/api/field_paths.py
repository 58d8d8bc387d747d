"""Field paths as Kubernetes prints them: ``spec.trainer.env[0].name``, ``metadata.labels[acme.io/team]``.

Code passes a path as a tuple of field names, list indexes and map keys; a fault gets its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

FieldPath: TypeAlias = tuple[str | int, ...]

_PLAIN: Final = re.compile(r"[A-Za-z0-9_$-]+", re.ASCII)
_SEGMENT: Final = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")


def render(path: Iterable[str | int]) -> str:
    """Returns the text of ``path``; a key that is no plain name stands in brackets, as an index does."""
    text = ""
    for part in path:
        if isinstance(part, int) or not _PLAIN.fullmatch(part):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def parse(text: str) -> FieldPath:
    """Returns the parts of a rendered path; an index is an int, a key in brackets a string."""
    parts: list[str | int] = []
    for bracketed, plain in _SEGMENT.findall(text):
        if plain:
            parts.append(plain)
        else:
            parts.append(int(bracketed) if bracketed.isascii() and bracketed.isdigit() else bracketed)
    return tuple(parts)


def replicated_job_path(index: int) -> str:
    """Returns the path of a runtime's replicated job."""
    return f"spec.template.spec.replicatedJobs[{index}]"


def pod_spec_path(index: int) -> str:
    """Returns the path of the pod spec of a runtime's replicated job."""
    return f"{replicated_job_path(index)}.template.spec.template.spec"
