"""Text of others (manifests, containers, engines) on a terminal: shown, never obeyed. Pure.

A control sequence in a job's last words could clear the screen, retitle the window, fill the clipboard, or
write an answer into the shell's input. Here each control character is shown as its picture (``␛``) instead.
"""

from __future__ import annotations

import re
from typing import Final

#: Half characters too, which no terminal can be sent.
_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BREAKS: Final = {ord("\t"): "\u2409", ord("\n"): "\u240a", 0x2028: "\ufffd", 0x2029: "\ufffd"}
#: Colours, moves within the line and erasing of it: what progress bars use.
_HARMLESS: Final = rb"\x1b\[[0-9;]*[mK]"
_RAW: Final = re.compile(rb"(" + _HARMLESS + rb")|([\x00-\x07\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f])")


def printable(text: str) -> str:
    """``text`` with every control character but tab and newline, and marks that turn writing round, shown."""
    return _CONTROL.sub(lambda found: _picture(ord(found[0])), text)


def printable_line(text: str) -> str:
    """The same for what must stay within its line: tabs and newlines are shown as well."""
    return printable(text).translate(_BREAKS)


def printable_output(data: bytes) -> bytes:
    """A container's output for a terminal: colours and progress bars work, nothing else is obeyed."""
    return _RAW.sub(lambda found: found[1] or _picture(found[2][-1]).encode(), data)


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
