"""The runtimes that come with this project, so that ``runtimeRef: {name: torch-distributed}`` works at once.

They are the files of ``specs/runtimes``: in an installed wheel as package data (``reconciler/builtin``), in a
checkout in their place. The folder's own runtimes and those of remote sources win over them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import StateError
from reconciler.sources.folder.catalog import RUNTIME_KINDS

if TYPE_CHECKING:
    from reconciler.api import Document

_PACKAGE = Path(__file__).resolve().parents[2]


def builtin_folder() -> Path | None:
    """The folder of the built-in runtimes; None in an installation without them."""
    for folder in (_PACKAGE / "builtin", _PACKAGE.parent / "specs" / "runtimes"):
        if folder.is_dir():
            return folder
    return None


def load_builtin_runtimes() -> list[Document]:
    """Load the built-in runtimes, sorted by file; empty in an installation without them.

    Raises:
        StateError: one of the files cannot be read.
    """
    from reconciler.api import load  # noqa: PLC0415  (builds pydantic models)

    folder = builtin_folder()
    documents: list[Document] = []
    for path in sorted(folder.rglob("*.yaml")) if folder else ():
        try:
            loaded = load(path.read_bytes(), str(path))
        except OSError as error:
            raise StateError(
                f"Cannot read the built-in runtime {path}: {error.strerror}.",
                remedy="Install the package again.",
            ) from error
        documents += (doc for doc in loaded.documents if doc.kind in RUNTIME_KINDS and doc.valid)
    return documents
