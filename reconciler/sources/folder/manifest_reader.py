"""Reads one manifest file; a file whose bytes are as before is not parsed again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.api.faults import Fault
from reconciler.common.host_looks import LOOKS
from reconciler.common.regular_files import LARGE_FILE, open_regular_stream, read_stream
from reconciler.sources.folder.catalog import ObjectId, is_named, object_id
from reconciler.sources.folder.manifest_files import ManifestFile, Signature, signature_of

if TYPE_CHECKING:
    from reconciler.api import Document


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


def read_manifest(file: ManifestFile, known: FileContent) -> tuple[FileContent, Signature]:
    """Read a file.

    Returns:
        The content, which is ``known`` itself where the bytes are the same, and the file's signature after it
        was read (another than before: it changed meanwhile).
    """
    from reconciler.api import load  # noqa: PLC0415  (builds pydantic models)

    try:
        data, facts = LOOKS.run(file.path, lambda _: _read(file.path))
    except OSError as error:
        return _unreadable(file, error.strerror or str(error)), file.signature
    digest = hashlib.blake2b(data, digest_size=16).digest()
    if digest == known.digest:
        return known, signature_of(facts)
    loaded = load(data, file.path)
    return FileContent(documents=loaded.documents, faults=loaded.faults, digest=digest), signature_of(facts)


def _read(path: str) -> tuple[bytes, os.stat_result]:
    with open_regular_stream(path) as opened:
        return read_stream(opened, limit=LARGE_FILE), os.fstat(opened.fileno())


def unreadable_fault(path: str, reason: str) -> Fault:
    """The fault of a file or folder that cannot be read."""
    remedy = ": give the daemon's user permission to read it" if reason == "Permission denied" else ""
    return Fault(file=path, line=0, path="", message=f"cannot be read: {reason}{remedy}", reason="Unreadable")


def _unreadable(file: ManifestFile, reason: str) -> FileContent:
    return FileContent(faults=(unreadable_fault(file.path, reason),), unreadable=True)
