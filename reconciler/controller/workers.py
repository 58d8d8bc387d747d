"""The threads that make passes over jobs, and substitutes for those whose pass waits.

A pass may wait for minutes: for an engine that does not answer about this one job, for the grace period of
containers that it stops. Its worker is missing then, and with as many such jobs as there are workers
nothing else would be done. So a worker that has been at one pass for :data:`PATIENCE` seconds is replaced,
for as long as keys are waiting.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from reconciler.common.liveness import Liveness
from reconciler.controller.workqueue import WorkQueue

#: Seconds at one pass after which a worker is replaced.
PATIENCE = 5.0
#: Substitutes at most.
SUBSTITUTES = 112
#: Seconds between looks at the workers.
INTERVAL = 1.0
#: Seconds that a substitute waits for a key before it ends.
IDLE_SECONDS = 10.0


class Workers:
    """See the module.

    Args:
        queue: of the keys.
        make_pass: over the job of a key; raises nothing.
        liveness: of the daemon's threads.
    """

    def __init__(self, queue: WorkQueue, make_pass: Callable[[str], None], liveness: Liveness) -> None:
        self._queue = queue
        self._make_pass = make_pass
        self._liveness = liveness
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}
        self._substitutes = 0

    def run(self) -> None:
        """Make passes until the queue is closed."""
        while (key := self._queue.get()) is not None:
            self._process(key)

    def keep_up(self) -> None:
        """Add substitutes where keys wait while workers do; for a thread that calls it every so often."""
        now = time.monotonic()
        with self._lock:
            waiting = sum(now - since > PATIENCE for since in self._since.values())
            missing = min(waiting, SUBSTITUTES) - self._substitutes
            wanted = max(0, min(missing, self._queue.ready()))
            self._substitutes += wanted
        for number in range(wanted):
            try:
                threading.Thread(target=self._substitute, name="worker-substitute", daemon=True).start()
            except RuntimeError:
                # The limit of threads: tried again the next time.
                with self._lock:
                    self._substitutes -= wanted - number
                return

    def _substitute(self) -> None:
        try:
            while (key := self._queue.get(timeout=IDLE_SECONDS)) is not None:
                self._process(key)
        finally:
            with self._lock:
                self._substitutes -= 1

    def _process(self, key: str) -> None:
        with self._lock:
            self._since[key] = time.monotonic()
        try:
            with self._liveness.track(f"the pass over {key}", about=key):
                self._make_pass(key)
        finally:
            with self._lock:
                del self._since[key]
            self._queue.done(key)
