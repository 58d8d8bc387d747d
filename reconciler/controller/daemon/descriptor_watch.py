"""Tells when the daemon has nearly as many files and sockets open as it may.

Some for each container are needed: where they run out, connections to the engine and files fail, jobs wait
and say so. Nothing breaks, but nobody would guess the reason, and only whoever starts the daemon can allow
more.
"""

from __future__ import annotations

from typing import Final

import structlog

from reconciler.common import descriptor_limit
from reconciler.common.os_errors import OUT_OF_DESCRIPTORS

#: Parts of the limit: from the first on it is told, below the second it is over.
SCARCE: Final = 0.8
ENOUGH: Final = 0.6

_log = structlog.get_logger(__name__)


class DescriptorWatch:
    """See the module; used from one thread."""

    def __init__(self) -> None:
        self._told = False

    def check(self) -> None:
        """Count, and log a change between enough and scarce."""
        used, limit = descriptor_limit.count_descriptors(), descriptor_limit.descriptor_limit()
        if used is None or limit <= 0:
            return
        if used >= limit * SCARCE and not self._told:
            self._told = True
            _log.warning("open files scarce", used=used, limit=limit, remedy=OUT_OF_DESCRIPTORS)
        elif used < limit * ENOUGH and self._told:
            self._told = False
            _log.info("open files suffice again", used=used, limit=limit)
