"""Pages of the documentation as tests see them: fenced blocks, with what a comment before one says.

Before a block may stand (invisible to readers)

* ``<!-- no-test: why -->``: nothing is done with it; ``<!-- no-test-page: why -->`` says so of a whole page;
* ``<!-- test: words -->`` with any of ``file=PATH`` (the block becomes that file of the page's folder),
  ``setup=NAME`` (copies ``specs/examples/NAME.yaml`` to ``jobs/`` first), ``exit=N`` (of the block's
  commands), ``background`` (the command runs until the page ends), ``run`` (Python is run, not only compiled),
  ``with=NAME`` (a TrainJob's runtime or Secret stands in that other block, by its ``file``), ``torch`` (needs
  PyTorch).

What a block is, its language says: ``console`` (lines after ``$``, then what they print; ``...`` stands for
anything), ``sh``, ``yaml`` (manifests, or settings where there is no ``kind``), ``python``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

SHELL = frozenset({"console", "sh", "bash", "shell"})
TESTED = SHELL | {"yaml", "python"}
#: Languages of blocks that only show something: a drawing, an output, a Dockerfile's line.
SHOWN = frozenset({"", "text", "ini", "json", "dockerfile", "mermaid", "{toctree}", "diff"})

_COMMENT = re.compile(r"^\s*<!--\s*(no-test-page|no-test|test):?\s*(.*?)\s*-->\s*$", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        line: of its first line, from 1.
        untested: why nothing is done with it; empty when something is.
        words: of the comment before it, ``file=x`` as ``{"file": "x"}``, ``run`` as ``{"run": ""}``.
    """

    page: Path
    line: int
    language: str
    text: str
    untested: str = ""
    words: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """``docs/x.md:12``."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All pages that are written by hand."""
    found = [path for path in DOCS.rglob("*.md") if not {"_build", "generated"} & set(path.parts)]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(found)]


def blocks(page: Path) -> list[Block]:
    """The page's fenced blocks, in order."""
    return list(_blocks(page))


def _blocks(page: Path) -> Iterator[Block]:
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    page_reason, comment = "", ("", "")
    for token in tokens:
        if token.type == "html_block" and (match := _COMMENT.match(token.content)):
            if match[1] == "no-test-page":
                page_reason = match[2]
            else:
                comment = (match[1], match[2])
        elif token.type == "fence":
            kind, said = comment
            comment = ("", "")
            assert token.map is not None
            language = token.info.split()[0] if token.info.strip() else ""
            words = dict((word.partition("=")[::2]) for word in said.split()) if kind == "test" else {}
            yield Block(
                page=page,
                line=token.map[0] + 1,
                language=language,
                text=token.content,
                untested=page_reason or (said if kind == "no-test" else ""),
                words=words,
            )
        elif token.type in {"paragraph_open", "heading_open"}:
            assert comment == ("", ""), (
                f"{page}: a comment for a block stands before something else: {comment}"
            )
