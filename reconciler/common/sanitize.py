"""Makes text of others (manifests, containers, engines) safe to print on a terminal. Pure.

A control sequence in a job's last words could clear the screen, retitle the window, fill the clipboard, or
write an answer into the shell's input. Each control character is replaced by its picture (``␛``).
"""

from __future__ import annotations

import re
from typing import Final

#: Includes marks that reverse the writing direction, and surrogates, which no terminal can be sent.
_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BREAKS: Final = {ord("\t"): "\u2409", ord("\n"): "\u240a", 0x2028: "\ufffd", 0x2029: "\ufffd"}
#: Colours, moves within the line and erasing of it: what progress bars use.
_HARMLESS: Final = rb"\x1b\[[0-9;]*[mK]"
_RAW: Final = re.compile(rb"(" + _HARMLESS + rb")|([\x00-\x07\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f])")


def sanitize_text(text: str) -> str:
    """Replaces every control character except tab and newline."""
    return _CONTROL.sub(lambda found: _picture(ord(found[0])), text)


def sanitize_line(text: str) -> str:
    """Replaces every control character, tab and newline too, so that the text stays within its line."""
    return sanitize_text(text).translate(_BREAKS)


def sanitize_output(data: bytes) -> bytes:
    """Replaces the control sequences of a container's output except colours and those of progress bars."""
    return _RAW.sub(lambda found: found[1] or _picture(found[2][-1]).encode(), data)


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
