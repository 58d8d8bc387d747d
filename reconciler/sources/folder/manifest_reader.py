"""Reads one manifest file; a file whose bytes are as before is not parsed again.

What can go wrong: the file cannot be read, which every scan tries again; its status file cannot exist (its
name would be too long), then none of its objects is taken, because nobody could see what became of them; an
error of this program, which is the file's fault alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from reconciler.api.faults import STATUS_FILE, Fault
from reconciler.common.host_looks import LOOKS
from reconciler.common.os_errors import reason_of
from reconciler.common.regular_files import LARGE_FILE, open_regular_stream, read_stream
from reconciler.sources.folder.catalog import ObjectId, is_named, object_id
from reconciler.sources.folder.manifest_files import ManifestFile, Signature, signature_of

if TYPE_CHECKING:
    from reconciler.api import Document, LoadedFile

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class FileContent:
    """The content of a manifest file.

    Attributes:
        faults: of the file as a whole.
        digest: of its bytes.
        unreadable: it could not be read (permission, I/O): every scan tries again.
    """

    documents: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()
    digest: bytes = b""
    unreadable: bool = False

    @property
    def objects(self) -> set[ObjectId]:
        """The objects that it defines."""
        return {object_id(doc) for doc in self.documents if is_named(doc)}

    @property
    def faulty(self) -> bool:
        """Whether anything in it is an error."""
        return any(f.severity == "error" for f in self.faults) or not all(d.valid for d in self.documents)


def read_manifest(
    file: ManifestFile, known: FileContent, *, refusal: str = ""
) -> tuple[FileContent, Signature]:
    """Read a file.

    Args:
        file: as it was listed.
        known: what was read of it before.
        refusal: why none of its objects may be used, whatever they are; "" where they may.

    Returns:
        The content, which is ``known`` itself where the bytes are the same, and the file's signature after it
        was read (another than before: it changed meanwhile).
    """
    from reconciler.api import load  # noqa: PLC0415  (builds pydantic models)

    try:
        data, facts = LOOKS.run(file.path, lambda _: _read(file.path))
    except OSError as error:
        return _unreadable(file, describe_read_error(error)), file.signature
    digest = hashlib.blake2b(data, digest_size=16).digest()
    if digest == known.digest:
        return known, signature_of(facts)
    try:
        loaded = load(data, file.path)
    except Exception as error:  # noqa: BLE001  (the boundary of one file: the others are read)
        _log.exception("internal error", file=file.path, remedy="Please report it.")
        return _unreadable(file, f"an error of this program: {error!r}"), file.signature
    if refusal:
        loaded = refuse_objects(loaded, file.path, refusal)
    return FileContent(documents=loaded.documents, faults=loaded.faults, digest=digest), signature_of(facts)


def refuse_objects(loaded: LoadedFile, path: str, reason: str) -> LoadedFile:
    """The same documents of the file, each with a fault; a file without any has it itself."""
    documents = tuple(
        replace(document, faults=(*document.faults, document.error("", reason, reason=STATUS_FILE)))
        for document in loaded.documents
    )
    own = () if documents else (Fault(file=path, line=0, path="", message=reason, reason=STATUS_FILE),)
    return replace(loaded, documents=documents, faults=(*loaded.faults, *own))


def _read(path: str) -> tuple[bytes, os.stat_result]:
    with open_regular_stream(path) as opened:
        return read_stream(opened, limit=LARGE_FILE), os.fstat(opened.fileno())


def describe_read_error(error: OSError) -> str:
    """Why a manifest cannot be read, with what to do about one that is too large."""
    reason = reason_of(error)
    return f"{reason}: split it" if error.errno == errno.EFBIG else reason


def unreadable_fault(path: str, reason: str) -> Fault:
    """The fault of a file or folder that cannot be read."""
    remedy = ": give the daemon's user permission to read it" if reason == "Permission denied" else ""
    return Fault(file=path, line=0, path="", message=f"cannot be read: {reason}{remedy}", reason="Unreadable")


def _unreadable(file: ManifestFile, reason: str) -> FileContent:
    return FileContent(faults=(unreadable_fault(file.path, reason),), unreadable=True)
