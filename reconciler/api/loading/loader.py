"""A file's bytes to documents: the one door for user input, which never raises and never hangs.

Sizes are checked before anything is parsed, so a huge file costs nothing.
"""

from __future__ import annotations

from typing import Final

from reconciler.api.faults import Fault
from reconciler.api.loading.composer import compose
from reconciler.api.loading.decoder import documents_of
from reconciler.api.loading.document import Document, Loaded

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_DOCUMENTS: Final = 1000


def load(text: bytes | str, file: str) -> Loaded:
    """The documents of a YAML or JSON file.

    Args:
        text: the file's content; bytes are taken for UTF-8.
        file: its path, as faults should name it.

    Returns:
        Every document that could be decoded, valid or not, and the faults that belong to none. Empty
        documents are left out. Nothing the text holds makes this raise.
    """
    if len(text) > MAX_BYTES:
        return _refused(
            file, 1, f"the file has {len(text):,} bytes; more than {MAX_BYTES:,} are not read: split it"
        )
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        assert isinstance(text, bytes)  # noqa: S101  (only bytes are decoded)
        line = text.count(b"\n", 0, error.start) + 1
        return _refused(file, line, f"not UTF-8 text: byte 0x{text[error.start]:02x}; save the file as UTF-8")
    documents: list[Document] = []
    faults: list[Fault] = []
    for composed in compose(decoded):
        if composed.refused:
            faults += [Fault(file=file, line=p.line, path="", message=p.message) for p in composed.problems]
            if len(faults) >= MAX_DOCUMENTS:
                break
            continue
        documents += documents_of(composed, file)
        if len(documents) > MAX_DOCUMENTS:
            message = f"the file has more than {MAX_DOCUMENTS:,} documents; the rest is not read: split it"
            faults.append(Fault(file=file, line=documents[MAX_DOCUMENTS].line, path="", message=message))
            break
    return Loaded(documents=tuple(documents[:MAX_DOCUMENTS]), faults=tuple(faults))


def _refused(file: str, line: int, message: str) -> Loaded:
    return Loaded(faults=(Fault(file=file, line=line, path="", message=message),))
