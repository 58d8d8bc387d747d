r"""Text from outside that is no Unicode: found at the door, escaped or replaced there.

Python lets text hold lone surrogates: for the bytes of a file name that is no UTF-8, and for an escape such
as ``"\ud800"`` in JSON. Such text can be neither encoded nor written into a file, so that what takes it in
at one place fails at another, later, each time. Manifests and settings with such text are refused; what
engines and other programs say is taken with a replacement character.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
#: The escape of a surrogate in JSON, of a pair too; a backslash before it is no escape then.
_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def is_unicode(text: str) -> bool:
    """Whether the text can be encoded: it holds no lone surrogate."""
    return text.isascii() or _SURROGATE.search(text) is None


def escape_bytes(text: str) -> str:
    r"""Returns text with the bytes that are no UTF-8 as escapes: ``caf\xe9.yaml``."""
    return text if is_unicode(text) else _SURROGATE.sub(_escape, text)


def replace_surrogates(value: Any) -> Any:
    """Returns decoded data with each lone surrogate replaced by U+FFFD, in keys too."""
    if isinstance(value, str):
        return value if is_unicode(value) else _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {replace_surrogates(key): replace_surrogates(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(replace_surrogates(inner) for inner in value)
    return value


def decode_json(data: bytes | str) -> Any:
    """Returns the data of a JSON text that another program has written; all text in it is Unicode.

    Raises:
        ValueError: it is no JSON, or nested too deeply.
    """
    text = data.decode("utf-8", errors="replace") if isinstance(data, bytes) else data
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return replace_surrogates(value) if _ESCAPE.search(text) else value


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
