"""Boundaries around the parts of the daemon's work: a fault of one ends neither the daemon nor the others.

What a job does wrong ends at its pass (:mod:`reconciler.controller.controller`). Here are the parts that work
for all of them: reading the folder, writing statuses, the webhook, connecting to the engine. What such a part
raises is logged, and the part rests for a growing time, so that a fault that stays fills neither the log nor
a core.

What the system refuses (a full disk, no more descriptors) goes away without a restart, and is only told. An
error of this program may have its reason in this process's memory: one that lasts for minutes is a problem
that the service manager's watchdog hears of (:mod:`reconciler.controller.daemon.service_report`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from reconciler.common.os_errors import describe_fault
from reconciler.errors import ReconcilerError

#: Seconds that a part rests after its first fault: doubled with each up to the last.
FIRST_PAUSE: Final = 0.5
LAST_PAUSE: Final = 30.0

_log = structlog.get_logger(__name__)


class Boundary:
    """Runs one part of the work, again and again; used from one thread.

    Args:
        part: what it does, as in ``reading the folder``.
        raises: raise what goes wrong all the same: for a run that ends.
        clock: monotonic seconds.
    """

    def __init__(
        self, part: str, *, raises: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.part = part
        #: Since when every run has ended with an error of this program; None while none has.
        self.broken_since: float | None = None
        #: Seconds that the part rests now.
        self.pause = 0.0
        self._raises = raises
        self._clock = clock
        self._rests_until = 0.0
        self._logged = ""

    @property
    def failing(self) -> bool:
        """Whether the last run has failed."""
        return self.pause > 0

    def run(self, work: Callable[[], object]) -> bool:
        """Do the work, unless the part rests; returns whether it was done without a fault."""
        if self._clock() < self._rests_until:
            return False
        try:
            work()
        except Exception as error:
            if self._raises:
                raise
            self._note(error)
            return False
        if self.failing:
            _log.info("daemon part recovered", part=self.part)
        self.pause, self.broken_since, self._logged = 0.0, None, ""
        return True

    def _note(self, error: Exception) -> None:
        self.pause = min(max(FIRST_PAUSE, self.pause * 2), LAST_PAUSE)
        self._rests_until = self._clock() + self.pause
        if not isinstance(error, (ReconcilerError, OSError)):
            self.broken_since = self.broken_since or self._clock()
            _log.error(
                "internal error",
                part=self.part,
                remedy="Please report it.",
                retry_in=self.pause,
                exc_info=error,
            )
            return
        self.broken_since = None
        reason = describe_fault(error)
        if reason != self._logged:
            self._logged = reason
            _log.error("daemon part failed", part=self.part, reason=reason, retry_in=self.pause)
