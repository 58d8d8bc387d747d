"""Finds out, while jobs run, whether an engine's bridges are on this host.

Podman creates a network's bridge with its first container and removes it with its last, so before a job runs
nothing is known, and a gateway that is missing while a listing says that a container runs may only mean that
the container has ended since. One gateway that was seen is proof for all networks; one that is missing twice,
some seconds apart, while its job runs, is proof against (the daemon is in a container of its own, or a
virtual machine).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

#: Seconds between the two checks.
RECHECK_DELAY: Final = 3.0


class BridgeDiscovery:
    """Remembers what the gateways of running jobs have proven.

    Args:
        clock: monotonic seconds.
        has_address: whether the host (or namespace) has an address now.
    """

    def __init__(self, *, clock: Callable[[], float], has_address: Callable[[str], bool]) -> None:
        self._clock = clock
        self._has_address = has_address
        self._on_host: bool | None = None
        self._missing_since: dict[str, float] = {}

    @property
    def elsewhere(self) -> bool:
        """Whether the bridges are known not to be here."""
        return self._on_host is False

    def check(self, key: str, gateway: str, *, running: bool) -> bool:
        """Checks a job's gateway; returns whether to check again after :data:`RECHECK_DELAY`."""
        if self._on_host is not None:
            return False
        if not running:
            self._missing_since.pop(key, None)
            return False
        if self._has_address(gateway):
            self._on_host = True
            self._missing_since.clear()
            return False
        since = self._missing_since.setdefault(key, self._clock())
        if self._clock() - since >= RECHECK_DELAY:
            self._on_host = False
            self._missing_since.clear()
            return False
        return True
