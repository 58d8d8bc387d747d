"""A cache for facts that only an inspect has, so that each is asked for once."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final, Generic, TypeVar

#: Facts that are kept at most.
LIMIT: Final = 4096

T = TypeVar("T")


class InspectCache(Generic[T]):
    """Facts by container id that change only with their ``version``.

    A cache and nothing else: losing an entry costs a call. The oldest are dropped beyond :data:`LIMIT`.
    """

    def __init__(self) -> None:
        self._facts: OrderedDict[str, tuple[object, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str, version: object = None) -> T | None:
        """Returns the fact stored for ``key`` at this version."""
        with self._lock:
            stored = self._facts.get(key)
            if stored is None or stored[0] != version:
                return None
            self._facts.move_to_end(key)
            return stored[1]

    def put(self, key: str, fact: T, version: object = None) -> None:
        """Stores a fact."""
        with self._lock:
            self._facts[key] = (version, fact)
            self._facts.move_to_end(key)
            if len(self._facts) > LIMIT:
                self._facts.popitem(last=False)
