"""How many files and sockets this process may have open: raised for itself, as it was for what it starts.

A daemon needs some descriptors for each container, and the usual soft limit of 1,024 is there for the sake of
programs that use ``select()``, which breaks above it. So the daemon raises its own soft limit as far as it
may (the hard limit is the administrator's), and gives containers of the process engine, and git, the one that
it was started with.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from contextlib import suppress
from typing import Final

#: No more than this is asked for: Linux' own default maximum; macOS refuses more than its ``OPEN_MAX``.
_MOST: Final = 1 << 20 if sys.platform == "linux" else 10240

#: Descriptors kept for calls of the engine, records and statuses; of a small limit a third.
_KEPT: Final = 64

#: The soft limit that this process was started with, once it has been raised.
_inherited: list[int] = []


def raise_descriptor_limit() -> None:
    """Raise this process's soft limit to the hard one; one that cannot be raised stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        _inherited[:] = [soft]


def inherited_limit() -> int | None:
    """The soft limit for what this process starts; None: the present one."""
    return _inherited[0] if _inherited else None


def descriptor_limit() -> int:
    """How many this process may have open now."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def count_descriptors() -> int | None:
    """How many this process has open; None where the system does not say."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208  (that of the listing itself)
    except OSError as error:
        return descriptor_limit() if error.errno in {errno.EMFILE, errno.ENFILE} else None


def may_open_more() -> bool:
    """Whether there are descriptors to spare, besides those kept for what jobs cannot do without.

    For what can wait, as a log that is only followed: the engine has it, too.
    """
    used, limit = count_descriptors(), descriptor_limit()
    return used is None or limit <= 0 or used < limit - min(_KEPT, limit // 3)
