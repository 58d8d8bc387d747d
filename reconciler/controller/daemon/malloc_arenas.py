"""Keeps the memory of a daemon with many waiting threads small, where the C library is glibc.

glibc gives threads arenas of their own, eight for each core, and none gives back what it once held: a hundred
log readers that wait nearly all the time would keep megabytes that nothing uses, and so would the first read
of a large folder. Elsewhere (macOS, musl) nothing is done.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from typing import Final

#: ``mallopt`` parameter, from glibc's malloc.h.
_M_ARENA_MAX: Final = -8
#: One for the main thread, one for all others: Python's lock keeps them from allocating at the same time.
_ARENAS: Final = 2


def limit_arenas() -> None:
    """Let threads share their memory; to be called before they are started."""
    with suppress(OSError, AttributeError):
        if sys.platform == "linux":
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def trim_memory() -> None:
    """Return free memory to the system; takes milliseconds."""
    with suppress(OSError, AttributeError):
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
