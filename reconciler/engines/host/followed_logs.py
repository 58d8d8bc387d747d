"""How many logs may be followed at a time: as many as leave this process descriptors for all else."""

from __future__ import annotations

from reconciler.common.descriptor_limit import may_open_more
from reconciler.common.os_errors import OUT_OF_DESCRIPTORS
from reconciler.errors import EngineError


def require_room_to_follow() -> None:
    """Checks that a further log may be followed; its engine keeps it until there is room.

    Raises:
        EngineError: creating, stopping and looking come first, and need what is left.
    """
    if not may_open_more():
        raise EngineError("Too many files are open to follow a further log.", remedy=OUT_OF_DESCRIPTORS)
