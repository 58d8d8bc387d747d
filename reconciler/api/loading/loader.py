"""Loads files that users write: :func:`load` never raises and never hangs, whatever the bytes are.

Sizes are checked before anything is parsed, so that a huge file costs nothing.
"""

from __future__ import annotations

import codecs
from typing import Final

from reconciler.api.faults import Fault
from reconciler.api.loading.decoder import decode
from reconciler.api.loading.document import Document, LoadedFile
from reconciler.api.loading.yaml_composer import compose

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_DOCUMENTS: Final = 1000
#: Looked up at once: a codec is a file, and one that could not be opened once is unknown for good.
_ENCODING: Final = codecs.lookup("utf-8-sig").name


def load(text: bytes | str, file: str) -> LoadedFile:
    """Returns the documents of a YAML or JSON file.

    Args:
        text: the file's content; bytes are decoded as UTF-8.
        file: its path, as faults should name it.

    Returns:
        Every document that could be decoded, valid or not, and the faults that belong to none. Empty
        documents are left out.
    """
    if len(text) > MAX_BYTES:
        return _reject(
            file, 1, f"the file has {len(text):,} bytes; more than {MAX_BYTES:,} are not read: split it"
        )
    try:
        decoded = text.decode(_ENCODING) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        return _reject(file, line, f"not UTF-8 text: byte 0x{byte:02x}; save the file as UTF-8")
    documents: list[Document] = []
    faults: list[Fault] = []
    for composed in compose(decoded):
        if composed.rejected:
            faults += [Fault(file=file, line=f.line, path="", message=f.message) for f in composed.faults]
            if len(faults) >= MAX_DOCUMENTS:
                break
            continue
        documents += decode(composed, file)
        if len(documents) > MAX_DOCUMENTS:
            message = f"the file has more than {MAX_DOCUMENTS:,} documents; the rest is not read: split it"
            faults.append(Fault(file=file, line=documents[MAX_DOCUMENTS].line, path="", message=message))
            break
    return LoadedFile(documents=tuple(documents[:MAX_DOCUMENTS]), faults=tuple(faults))


def _reject(file: str, line: int, message: str) -> LoadedFile:
    return LoadedFile(faults=(Fault(file=file, line=line, path="", message=message),))
