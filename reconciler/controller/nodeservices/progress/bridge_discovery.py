"""Whether an engine's bridges are on this host, found out while jobs run.

Podman makes a network's bridge with its first container and takes it away with its last, so before a job
runs nobody can know, and a gateway that is not there while a listing says that a container runs may only
mean that the container has ended since. One gateway that was seen is proof for all; one that is missing
twice, some seconds apart, while its job runs, is proof against (the daemon is in a container of its own, or
a virtual machine).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reconciler.controller.nodeservices.progress.progress_endpoints import is_local

#: Seconds between the two looks.
DOUBT: Final = 3.0


class Bridges:
    """See the module.

    Args:
        clock: monotonic seconds.
        local: whether this host has an address now.
    """

    def __init__(self, *, clock: Callable[[], float], local: Callable[[str], bool] = is_local) -> None:
        self._clock = clock
        self._local = local
        self._here: bool | None = None
        self._doubted: dict[str, float] = {}

    @property
    def elsewhere(self) -> bool:
        """Whether they are known not to be here."""
        return self._here is False

    def look(self, key: str, address: str, *, running: bool) -> bool:
        """Look at the gateway of a job; whether another look is wanted after :data:`DOUBT`."""
        if self._here is not None:
            return False
        if not running:
            self._doubted.pop(key, None)
            return False
        if self._local(address):
            self._here = True
            self._doubted.clear()
            return False
        since = self._doubted.setdefault(key, self._clock())
        if self._clock() - since >= DOUBT:
            self._here = False
            self._doubted.clear()
            return False
        return True
