"""What the service manager is told of the daemon: ready, how the jobs stand, and that the work goes on.

A ping is sent from the main loop, and only when nothing is amiss (:meth:`Report.ailments`):

* the main loop itself goes round (it reads the folder and writes statuses; it never calls the engine);
* no thread that works for a job has gone without a sign for too long (:mod:`reconciler.common.liveness`);
* no worker has died;
* an engine that answers can be listed (``RELIST_PATIENCE``).

What keeps nobody from pinging: an engine that is down or hangs (its calls have limits, and jobs say that
they wait), an image pull of hours, containers that take their grace period. A restart would mend none of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from reconciler.controller.controller import Work
from reconciler.controller.daemon.sd_notify import Notifier

#: Seconds an engine may answer but refuse to be listed, over and above some intervals of listing.
RELIST_PATIENCE: Final = 300.0
#: Seconds between looks at how the jobs stand.
STATUS_EVERY: Final = 1.0
#: Pings within the time after which the manager gives up.
PINGS: Final = 4
#: Seconds between looks for ailments where nobody wants pings: they are logged all the same.
UNWATCHED: Final = 10.0

_log = structlog.get_logger(__name__)


class Report:
    """See the module; every method but the constructor is called from the main loop.

    Args:
        notifier: to the service manager.
        work: that is told of.
        workers: the threads that work; filled while the daemon starts.
        resync: seconds between full comparisons, as they are set at the moment.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        notifier: Notifier,
        work: Work,
        *,
        workers: Sequence[threading.Thread],
        resync: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._work = work
        self._workers = workers
        self._resync = resync
        self._clock = clock
        self._note = ""
        self._told_status = ""
        self._told_ailments: list[str] = []
        self._status_at = self._ping_at = 0.0
        self._ping_every = notifier.watchdog / PINGS if notifier.watchdog else UNWATCHED
        if notifier.watchdog:
            work.liveness.patience = notifier.watchdog

    def ready(self, note: str = "") -> None:
        """Started, or done with reloading; ``note`` is shown until the next time."""
        self._note = note
        self._told_status = self.status()
        self._notifier.ready(self._told_status)

    def reloading(self) -> None:
        """The configuration is being read again."""
        self._notifier.reloading("reading the configuration again")

    def stopping(self, what: str) -> None:
        """The daemon ends."""
        self._notifier.stopping(what)

    def extend(self, seconds: float) -> None:
        """The end takes longer."""
        self._notifier.extend(seconds)

    def tick(self) -> None:
        """Once round the main loop."""
        now = self._clock()
        if self._notifier.wanted and now >= self._status_at:
            self._status_at = now + STATUS_EVERY
            status = self.status()
            if status != self._told_status:
                self._told_status = status
                self._notifier.status(status)
        if now >= self._ping_at:
            self._ping_at = now + self._ping_every
            ailments = self.ailments()
            if not ailments and self._notifier.watchdog:
                self._notifier.alive()
            self._tell(ailments)

    def status(self) -> str:
        """``3 jobs: 1 Queued, 2 Running; podman 4.3.1``."""
        phases = self._work.phases()
        count = phases.total()
        jobs = f"{count} job{'' if count == 1 else 's'}"
        if count:
            jobs += ": " + ", ".join(f"{number} {phase}" for phase, number in sorted(phases.items()))
        trouble = self._work.engine_trouble
        engine = f"no engine: {trouble}" if trouble else self._work.engine_name
        return "; ".join(part for part in (self._note, jobs, engine) if part)

    def ailments(self) -> list[str]:
        """Why the daemon had better be started anew; nothing when all is well."""
        found = [f"no sign of life from {what}" for what in self._work.liveness.overdue()]
        found += [f"the thread {thread.name} has ended" for thread in self._workers if not thread.is_alive()]
        since = self._work.relisting.refused_since
        if since is not None and self._clock() - since > RELIST_PATIENCE + 3 * self._resync():
            found.append(f"the engine answers but cannot be listed: {self._work.relisting.error}")
        return found

    def _tell(self, ailments: list[str]) -> None:
        kinds = [ailment.rpartition(" for ")[0] or ailment for ailment in ailments]
        if kinds and kinds != self._told_ailments:
            consequence = (
                "no more pings: it will start this daemon anew" if self._notifier.watchdog else "none"
            )
            _log.error("the work does not go on", reasons=ailments, service_manager=consequence)
        elif self._told_ailments and not kinds:
            _log.info("the work goes on again")
        self._told_ailments = kinds
