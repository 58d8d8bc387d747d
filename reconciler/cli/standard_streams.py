"""Standard streams that are there, whatever the command was started with.

A caller may close them (``>&-``, some service managers and cron jobs). Then Python has no ``sys.stderr`` to
write to, and, worse, the next files that are opened get the numbers 0, 1 and 2: a line meant for a terminal
would be written into a record or a database.
"""

from __future__ import annotations

import os
import sys
from typing import Final

#: Number, name in ``sys``, and how each stream is opened.
_STREAMS: Final = (
    (0, "stdin", os.O_RDONLY, "r"),
    (1, "stdout", os.O_WRONLY, "w"),
    (2, "stderr", os.O_WRONLY, "w"),
)


def open_closed_streams() -> None:
    """Opens the null device in place of each standard stream that is closed; to be called first of all."""
    for number, name, flags, mode in _STREAMS:
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one: those before it are open by now.
            os.open(os.devnull, flags)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
