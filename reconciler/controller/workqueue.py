"""The work queue: keys, not tasks. A key is queued once, and processed by one worker at a time.

As controller-runtime's rate-limited queue: ``add`` while a key is being processed queues it again afterwards;
an earlier time replaces a later one; failures back off per key, and success forgets them.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable

FIRST_RETRY = 0.5
LAST_RETRY = 60.0
LONGEST_WAIT = 5.0


class WorkQueue:
    """A keyed queue with delays.

    Args:
        clock: seconds since the epoch; the same clock that decisions are made by.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: deque[str] = deque()
        self._queued: set[str] = set()
        self._processing: set[str] = set()
        self._again: set[str] = set()
        self._timers: list[tuple[float, int, str]] = []
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._order = itertools.count()
        #: Whether no key is given out any more.
        self.closed = False

    def add(self, key: str) -> None:
        """Queue the key for the next free worker; again afterwards where it is being processed now."""
        with self._changed:
            self._add(key)

    def add_at(self, key: str, when: float) -> None:
        """Queue the key at a time (seconds since the epoch), unless an earlier one is set."""
        with self._changed:
            due = self._due.get(key)
            if due is not None and due <= when:
                return
            self._due[key] = when
            heapq.heappush(self._timers, (when, next(self._order), key))
            self._changed.notify()

    def retry(self, key: str) -> float:
        """Queue a key that failed again, after 0.5 s, 1 s, 2 s, ... 60 s; returns the delay."""
        with self._changed:
            failures = self._failures.get(key, 0)
            self._failures[key] = failures + 1
        delay = float(min(FIRST_RETRY * 2 ** min(failures, 16), LAST_RETRY))
        self.add_at(key, self._clock() + delay)
        return delay

    def forget(self, key: str) -> None:
        """Forget the key's failures: its next one starts from the shortest delay."""
        with self._changed:
            self._failures.pop(key, None)

    def get(self, *, timeout: float = math.inf) -> str | None:
        """The next key, waited for, and processed until :meth:`done`; None when closed.

        Args:
            timeout: seconds to wait at most; None is returned then, too.
        """
        give_up_at = time.monotonic() + timeout
        with self._changed:
            while True:
                self._queue_due()
                if self.closed:
                    return None
                if self._ready:
                    key = self._ready.popleft()
                    self._queued.discard(key)
                    self._processing.add(key)
                    return key
                # A wall clock may be set: never sleep longer than this before reading it again.
                due_in = self._timers[0][0] - self._clock() if self._timers else LONGEST_WAIT
                left = give_up_at - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(max(0.0, min(due_in, left, LONGEST_WAIT)))

    def ready(self) -> int:
        """How many keys wait for a worker."""
        with self._changed:
            self._queue_due()
            return len(self._ready)

    def done(self, key: str) -> None:
        """The worker has processed the key."""
        with self._changed:
            self._processing.discard(key)
            if key in self._again:
                self._again.discard(key)
                self._add(key)
            self._changed.notify_all()

    def idle(self) -> bool:
        """Whether no key is ready or being processed; delayed keys do not count."""
        with self._changed:
            self._queue_due()
            return not self._ready and not self._processing

    def close(self, *, patience: float = 0.0) -> None:
        """Give out no more keys: every waiting worker gets None.

        Args:
            patience: seconds to wait at most for the keys that are being processed.
        """
        with self._changed:
            self.closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._processing, timeout=patience)

    def _add(self, key: str) -> None:
        if key in self._processing:
            self._again.add(key)
            return
        if key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)
            self._changed.notify()

    def _queue_due(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            when, _, key = heapq.heappop(self._timers)
            if self._due.get(key) == when:
                del self._due[key]
                self._add(key)
