"""The fenced blocks of the seed text, as they stand there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TEXT = Path(__file__).resolve().parents[3] / "shared" / "seed-podman-backend.md"
_FENCE = re.compile(r"^\s*```(\w*)\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        heading: the nearest above it.
        line: its first, from 1.
    """

    language: str
    heading: str
    line: int
    code: str


def blocks(text: str) -> list[Block]:
    """Returns all blocks in order. One of the text's fences is never closed: the next heading closes it."""
    found: list[Block] = []
    language, heading, first = "", "", 0
    lines: list[str] = []
    is_open = False

    def close() -> None:
        found.append(Block(language, heading, first, "\n".join(lines).rstrip() + "\n"))
        lines.clear()

    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        title = line.startswith("## ") or (not is_open and line.startswith("#"))
        if is_open and (fence or title):
            close()
            is_open = False
        elif fence:
            is_open, language, first = True, fence.group(1), number + 1
        elif is_open:
            lines.append(line)
        if title:
            heading = line.lstrip("# ")
    return found


def with_client_imported(code: str) -> str:
    """Returns the code with the import line changed, the one change that it needs."""
    return code.replace("from kubeflow.trainer", "from reconciler.client")
