"""Reports to the service manager: ready, the phases of the jobs, and pings while all is well.

A ping is sent from the main loop, and only when nothing is wrong (:meth:`ServiceReporter.problems`):

* the main loop itself comes round (it reads the folder and writes statuses; it never calls the engine);
* no thread that works for a job has gone without a sign of life for too long (in
  :mod:`reconciler.common.liveness`);
* no worker has died;
* no part of the main loop has failed for long by an error of this program (``FAULT_PATIENCE``);
* an engine that answers can be listed (``RELIST_PATIENCE``).

What does not stop the pings: an engine that is down or hangs (its calls have limits, and jobs say that they
wait), an image pull of hours, containers that take their grace period, a full disk, a folder that cannot be
read. A restart would fix none of it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from reconciler.common.liveness import Liveness
from reconciler.controller.daemon.boundaries import Boundary
from reconciler.controller.daemon.sd_notify import Notifier

#: Seconds an engine may answer but not be listed, over and above some intervals of relisting.
RELIST_PATIENCE: Final = 300.0
#: Seconds for which a part of the main loop may fail by an error of this program.
FAULT_PATIENCE: Final = 300.0
#: Seconds between updates of the status line.
STATUS_INTERVAL: Final = 1.0
#: Pings within the time after which the manager gives up.
PINGS: Final = 4
#: Seconds between checks for problems where no pings are expected: they are logged all the same.
CHECK_INTERVAL: Final = 10.0

_log = structlog.get_logger(__name__)


class Reported(Protocol):
    """What is reported on: the controller."""

    @property
    def liveness(self) -> Liveness:
        """Of the threads that work for jobs."""

    @property
    def engine_name(self) -> str:
        """Name and version; "" before an engine has answered."""

    @property
    def engine_error(self) -> str:
        """Why the engine cannot be worked with now; "" when it can."""

    @property
    def relist_failing_since(self) -> float | None:
        """Since when an engine that answers could not be listed, in monotonic seconds."""

    def phases(self) -> Counter[str]:
        """How many jobs are in which phase."""


class ServiceReporter:
    """See the module; every method but the constructor is called from the main loop.

    Args:
        notifier: to the service manager.
        controller: that is reported on.
        workers: the threads that work; filled while the daemon starts.
        parts: the parts of the main loop, by what they do; filled while it runs.
        resync: seconds between relists, as they are set at the moment.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        notifier: Notifier,
        controller: Reported,
        *,
        workers: Sequence[threading.Thread],
        parts: Mapping[str, Boundary] | None = None,
        resync: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notifier = notifier
        self._controller = controller
        self._workers = workers
        self._parts = parts if parts is not None else {}
        self._resync = resync
        self._clock = clock
        self._note = ""
        self._last_status = ""
        self._last_problems: list[str] = []
        self._status_at = self._ping_at = 0.0
        self._ping_every = notifier.watchdog / PINGS if notifier.watchdog else CHECK_INTERVAL
        if notifier.watchdog:
            controller.liveness.work_limit = notifier.watchdog

    def ready(self, note: str = "") -> None:
        """Started, or done with reloading; ``note`` is shown until the next time."""
        self._note = note
        self._last_status = self.status()
        self._notifier.ready(self._last_status)

    def tick(self) -> None:
        """One round of the main loop."""
        now = self._clock()
        if self._notifier.address and now >= self._status_at:
            self._status_at = now + STATUS_INTERVAL
            status = self.status()
            if status != self._last_status:
                self._last_status = status
                self._notifier.status(status)
        if now >= self._ping_at:
            self._ping_at = now + self._ping_every
            problems = self.problems()
            if not problems and self._notifier.watchdog:
                self._notifier.ping()
            self._log_problems(problems)

    def status(self) -> str:
        """``3 jobs: 1 Queued, 2 Running; podman 4.3.1``."""
        phases = self._controller.phases()
        count = phases.total()
        jobs = f"{count} job{'' if count == 1 else 's'}"
        if count:
            jobs += ": " + ", ".join(f"{number} {phase}" for phase, number in sorted(phases.items()))
        error = self._controller.engine_error
        engine = f"no engine: {error}" if error else self._controller.engine_name
        return "; ".join(part for part in (self._note, jobs, engine) if part)

    def problems(self) -> list[str]:
        """Why the daemon should be restarted; empty when all is well."""
        found = [f"no sign of life from {what}" for what in self._controller.liveness.overdue()]
        found += [f"the thread {thread.name} has ended" for thread in self._workers if not thread.is_alive()]
        found += [
            f"{name} fails by an error of this program"
            for name, part in self._parts.items()
            if part.broken_since is not None and self._clock() - part.broken_since > FAULT_PATIENCE
        ]
        since = self._controller.relist_failing_since
        if since is not None and self._clock() - since > RELIST_PATIENCE + 3 * self._resync():
            found.append(f"the engine answers but cannot be listed: {self._controller.engine_error}")
        return found

    def _log_problems(self, problems: list[str]) -> None:
        kinds = [problem.rpartition(" for ")[0] or problem for problem in problems]
        if kinds and kinds != self._last_problems:
            consequence = (
                "no more pings: it will start this daemon again" if self._notifier.watchdog else "none"
            )
            _log.error("daemon unhealthy", reasons=problems, service_manager=consequence)
        elif self._last_problems and not kinds:
            _log.info("daemon healthy again")
        self._last_problems = kinds
