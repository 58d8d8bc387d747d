r"""Makes text of others (manifests, containers, engines, names of files) safe to print. Pure.

A control sequence in a job's last words could clear the screen, retitle the window, fill the clipboard, or
write an answer into the shell's input; a mark that reverses the writing direction, or a character without a
width, makes a name look like another one. Each is replaced by its picture (``␛``, else ``�``), or in JSON and
YAML, which must say the same afterwards, by its escape (``\u202e``).
"""

from __future__ import annotations

import re
from typing import Final

#: Formats and fillers that nobody sees: soft hyphens, joiners, marks of direction, separators of lines, tags.
_UNSEEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
#: Surrogates, which no terminal can be sent, are bytes of a name that is not UTF-8.
_UNSAFE: Final = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{_UNSEEN}]")
_BREAKS: Final = {ord("\t"): "\u2409", ord("\n"): "\u240a"}
#: Colours, moves within the line and erasing of it: what progress bars use.
_HARMLESS: Final = rb"\x1b\[[0-9;]*[mK]"
#: Control characters, those of C1, and in UTF-8 the marks that reverse the writing direction.
_RAW: Final = re.compile(
    rb"(" + _HARMLESS + rb")|([\x00-\x07\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]"
    rb"|\xd8\x9c|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81[\xa6-\xa9])"
)


def sanitize_text(text: str) -> str:
    """Replaces every character that steers or that nobody sees, except tab and newline."""
    return _UNSAFE.sub(lambda found: _picture(ord(found[0])), text)


def sanitize_line(text: str) -> str:
    """Replaces tab and newline, too, so that the text stays within its line."""
    return sanitize_text(text).translate(_BREAKS)


def is_safe(text: str) -> bool:
    """Returns whether :func:`sanitize_text` would leave the text as it is."""
    return _UNSAFE.search(text) is None


def escape_json(document: str) -> str:
    """Escapes the same characters in a JSON document: they can only be inside its strings."""
    return _UNSAFE.sub(lambda found: _json_escape(ord(found[0])), document)


def sanitize_output(data: bytes) -> bytes:
    """Replaces the control sequences of a container's output except colours and those of progress bars."""
    return _RAW.sub(lambda found: found[1] or _picture(found[2][-1]).encode(), data)


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def _json_escape(code: int) -> str:
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
