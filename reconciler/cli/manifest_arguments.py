"""Manifests named on the command line (files, folders, ``-``), read and validated as one folder."""

from __future__ import annotations

import stat
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconciler import api  # its names import the models when they are first used
from reconciler.api import Document
from reconciler.api.faults import Fault
from reconciler.common.host_looks import LOOKS, ResolvedPath, UnansweredError
from reconciler.common.mappings import mapping_at
from reconciler.common.path_presence import is_absent
from reconciler.common.regular_files import LARGE_FILE, read_regular_file
from reconciler.common.unicode_text import escape_bytes
from reconciler.sources.folder.manifest_files import is_inside, list_manifest_files
from reconciler.sources.folder.manifest_reader import describe_read_error, refuse_objects
from reconciler.sources.runtimes.remote_runtimes import LoadedRuntimes
from reconciler.state.sidecar_files import status_file_problem

STDIN: Final = "-"
STDIN_NAME: Final = "<stdin>"
#: What a shell gives in place of ``<(COMMAND)``, and other names of standard input: pipes, on purpose.
PIPES: Final = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
#: What a folder does that an API server does not.
_UNSTARTED: Final = " (a job of which nothing has started yet is made anew instead)"


@dataclass(frozen=True, kw_only=True)
class Manifests:
    """The documents of the named files.

    Attributes:
        documents: of all files, in order.
        faults: of files and of documents by themselves; not across documents.
        unreadable: those of the faults that are about files which could not be read at all.
        file_count: how many files were read.
    """

    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]
    file_count: int
    unreadable: tuple[Fault, ...] = ()

    @property
    def object_count(self) -> int:
        """How many documents are of a kind that is read here."""
        return sum(document.model is not None or bool(document.faults) for document in self.documents)


def read_manifests(paths: Sequence[str], *, status_dir: Path | None = None) -> Manifests:
    """Reads files and folders; what cannot be read is a fault, never an exception.

    Args:
        paths: as given by the user; ``-`` is standard input.
        status_dir: where the daemon keeps status files; None: beside the manifests. A manifest whose status
            file could not exist is at fault.
    """
    documents: list[Document] = []
    files, missing = _list_files(paths)
    unreadable = [
        Fault(file=escape_bytes(path), line=0, path="", message=message) for path, message in missing
    ]
    faults: list[Fault] = []
    for path in files:
        try:
            text = _read_bytes(path)
        except OSError as error:
            message = f"the file cannot be read: {describe_read_error(error)}"
            unreadable.append(Fault(file=escape_bytes(path), line=0, path="", message=message))
            continue
        loaded = api.load(text, STDIN_NAME if path == STDIN else escape_bytes(path))
        if path != STDIN and (problem := _status_file_problem(path, paths, status_dir)):
            loaded = refuse_objects(loaded, escape_bytes(path), problem)
        documents += loaded.documents
        faults += loaded.faults
        faults += [fault for document in loaded.documents for fault in document.faults]
    return Manifests(
        documents=tuple(documents),
        faults=(*unreadable, *faults),
        file_count=len(files),
        unreadable=tuple(unreadable),
    )


def load_other_runtimes(sources: Sequence[str]) -> LoadedRuntimes:
    """Loads the runtimes that a daemon has besides those in files: of ``--runtime-source``, and built in.

    A source that fails is a warning: a job that misses its runtime is an error by itself.
    """
    from reconciler.sources.runtimes.available_runtimes import load_available_runtimes  # noqa: PLC0415

    loaded = load_available_runtimes(sources, clock=time.time)
    return replace(loaded, faults=tuple(replace(fault, severity="warning") for fault in loaded.faults))


def validate_manifests(manifests: Manifests, other_runtimes: LoadedRuntimes) -> list[Fault]:
    """Returns every fault, also across documents; sorted by file and line, none twice."""
    # Of several runtimes of a name the first counts; `check` takes the last.
    across = api.check(manifests.documents, runtimes=reversed(other_runtimes.documents))
    return sort_faults([*manifests.faults, *other_runtimes.faults, *across])


def validate_changes(old: Manifests, new: Manifests) -> list[Fault]:
    """Returns the faults of changes that upstream rejects, for each job that is in both.

    Args:
        old: the manifests before the change; their own faults are not reported.
        new: the manifests after it.
    """
    before = {(d.kind, d.namespace, d.name): d for d in old.documents}
    faults: list[Fault] = []
    for document in new.documents:
        earlier = before.get((document.kind, document.namespace, document.name))
        if earlier is not None:
            faults += api.check_update(
                earlier, document, suspended=mapping_at(earlier.raw, "spec").get("suspend") is True
            )
    return [replace(fault, message=f"{fault.message}{_UNSTARTED}") for fault in faults]


def sort_faults(faults: Iterable[Fault]) -> list[Fault]:
    """Returns the faults sorted by place, each once."""
    return sorted(set(faults))


def _list_files(paths: Sequence[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Files in the order given (a folder's sorted), and each path that is missing with the reason."""
    files: list[str] = []
    missing: list[tuple[str, str]] = []
    for path in paths:
        found = LOOKS.resolve([path])[0] if path != STDIN else ResolvedPath(real=path)
        if isinstance(found.error, UnansweredError):
            missing.append((path, f"it cannot be read: {found.error.strerror}"))
        elif found.facts is not None and stat.S_ISDIR(found.facts.st_mode):
            layout = list_manifest_files(path.rstrip("/") or "/")
            files += layout.files
            missing += layout.unreadable.items()
            if layout.state != "ok" and not layout.unreadable:
                missing.append((path, layout.reason))
        elif path == STDIN or path.startswith(PIPES) or not is_absent(path):
            files.append(path)
        else:
            missing.append((path, "there is no such file or folder"))
    return list(dict.fromkeys(files)), missing


def _status_file_problem(path: str, given: Sequence[str], status_dir: Path | None) -> str:
    """Why a file that was given, or is in a folder that was, can have no status file; "" where it can."""
    folders = [Path(folder) for folder in given if is_inside(path, folder)]
    specs = folders[0] if folders and str(folders[0]) != path else Path(path).parent
    return status_file_problem(path, specs=specs, status_dir=status_dir)


def _read_bytes(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(LARGE_FILE)
    if path.startswith(PIPES):
        with Path(path).open("rb") as file:
            return file.read(LARGE_FILE)
    return LOOKS.run(path, lambda _: read_regular_file(path, limit=LARGE_FILE))
