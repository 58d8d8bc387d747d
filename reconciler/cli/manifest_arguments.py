"""Manifests named on the command line (files, folders, ``-``), read and checked as one folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reconciler.api import Document, Fault
    from reconciler.sources.runtimes.remote_runtimes import RemoteRuntimes

STDIN: Final = "-"
STDIN_NAME: Final = "<stdin>"
#: More than the loader takes, so that it can say so itself; never the whole of a huge file.
READ_LIMIT: Final = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """What was read.

    Attributes:
        documents: of all files, in order.
        faults: of files and documents by themselves; not across documents.
        files: how many were read.
    """

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]
    files: int


def read(paths: Sequence[str]) -> Manifests:
    """Read files and folders; what cannot be read is a fault, never an exception.

    Args:
        paths: as given by the user; ``-`` is standard input.
    """
    from reconciler.api import Fault, load  # noqa: PLC0415  (builds the models: 0.2 s)

    documents: list[Document] = []
    faults: list[Fault] = []
    files, missing = _expand(paths)
    faults += [Fault(file=path, line=0, path="", message=message) for path, message in missing]
    for path in files:
        try:
            text = _bytes_of(path)
        except OSError as error:
            message = f"the file cannot be read: {error.strerror or error}"
            faults.append(Fault(file=path, line=0, path="", message=message))
            continue
        loaded = load(text, STDIN_NAME if path == STDIN else path)
        documents += loaded.documents
        faults += loaded.faults
        faults += [fault for document in loaded.documents for fault in document.faults]
    return Manifests(documents=tuple(documents), faults=tuple(faults), files=len(files))


def further_runtimes(sources: Sequence[str]) -> RemoteRuntimes:
    """Runtimes that the daemon would have besides those in files: of ``--runtime-source``, and built in.

    A source that cannot be had is a warning: what misses its runtime is an error by itself.
    """
    from reconciler.sources.runtimes.available_runtimes import available_runtimes  # noqa: PLC0415

    found = available_runtimes(sources, clock=time.time)
    return replace(found, faults=tuple(replace(fault, severity="warning") for fault in found.faults))


def check_all(manifests: Manifests, further: RemoteRuntimes) -> list[Fault]:
    """Every fault there is, also across documents; sorted by file and line, none twice.

    Args:
        manifests: to be checked.
        further: runtimes that count as there.
    """
    from reconciler.api import check  # noqa: PLC0415

    across = check(manifests.documents, runtimes=_first_wins(further.documents))
    return unique([*manifests.faults, *further.faults, *across])


def check_changes(old: Manifests, new: Manifests) -> list[Fault]:
    """Faults of changes that upstream refuses, for each job that is in both.

    Args:
        old: what was there before; faults in it are of no interest.
        new: what is to be there.
    """
    from reconciler.api import check_update  # noqa: PLC0415

    before = {(d.kind, d.namespace, d.name): d for d in old.documents}
    faults: list[Fault] = []
    for document in new.documents:
        earlier = before.get((document.kind, document.namespace, document.name))
        if earlier is not None:
            faults += check_update(earlier, document, suspended=_is_suspended(earlier))
    return faults


def unique(faults: Iterable[Fault]) -> list[Fault]:
    """Sorted by place, each once."""
    return sorted(set(faults))


def object_count(manifests: Manifests) -> int:
    """How many documents are of a kind that is read here."""
    return sum(document.model is not None or bool(document.faults) for document in manifests.documents)


def _first_wins(documents: Iterable[Document]) -> list[Document]:
    found: dict[tuple[str, str, str], Document] = {}
    for document in documents:
        found.setdefault((document.kind, document.namespace, document.name), document)
    return list(found.values())


def _is_suspended(document: Document) -> bool:
    spec = document.raw.get("spec")
    return isinstance(spec, dict) and spec.get("suspend") is True


def _expand(paths: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Files in the order given (a folder's sorted), and what there is not with the reason."""
    from reconciler.sources.folder.manifest_files import walk  # noqa: PLC0415

    files: list[str] = []
    missing: list[tuple[str, str]] = []
    for path in paths:
        if path == STDIN or not Path(path).is_dir():
            if path == STDIN or Path(path).exists():
                files.append(path)
            else:
                missing.append((path, "there is no such file or folder"))
            continue
        layout = walk(path.rstrip("/") or "/")
        files += layout.files
        missing += layout.unreadable.items()
        if layout.state != "ok" and not layout.unreadable:
            missing.append((path, layout.reason))
    return list(dict.fromkeys(files)), missing


def _bytes_of(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(READ_LIMIT)
    with Path(path).open("rb") as file:
        return file.read(READ_LIMIT)
