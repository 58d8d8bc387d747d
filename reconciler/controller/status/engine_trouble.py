"""Tells jobs, in their status, that the engine does not do for them what it was asked for.

A pass that an engine's error has ended writes no status of its own, so what was wrong is put into the one
that there is: as its message, and as the condition :data:`ENGINE_FAILING`. The next pass that gets through
writes a status without either. A call that hangs is told of long before its time is up; a listing that
fails, to the jobs that have no pass.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from reconciler.common.liveness import SlowStep
from reconciler.controller.statemachine.actions import ENGINE_ERROR, ENGINE_FAILING
from reconciler.errors import EngineError, EngineUnavailable
from reconciler.state.state_store import StateStore

#: Further reasons of the condition.
ENGINE_SLOW = "EngineSlow"
ENGINE_UNAVAILABLE = "EngineUnavailable"


class EngineTrouble:
    """See the module; every method may be called from any thread.

    Args:
        state: where statuses are.
        file_of: returns the manifest of a job; "" where it has none any more.
        enqueue: has a pass made over a job.
    """

    def __init__(
        self, state: StateStore, *, file_of: Callable[[str], str], enqueue: Callable[[str], None]
    ) -> None:
        self._state = state
        self._file_of = file_of
        self._enqueue = enqueue
        self._lock = threading.Lock()
        self._slow: dict[str, str] = {}
        self._listing_error = ""
        self._told_of_listing: set[str] = set()

    def report(self, key: str, error: EngineError) -> None:
        """A pass over the job was ended by this error."""
        reason = ENGINE_UNAVAILABLE if isinstance(error, EngineUnavailable) else ENGINE_ERROR
        self._tell(key, str(error), reason)

    def report_slow_calls(self, steps: Iterable[SlowStep]) -> None:
        """These calls take longer than usual; each is told once."""
        for step in steps:
            with self._lock:
                if not step.about or self._slow.get(step.about) == step.name:
                    continue
                self._slow[step.about] = step.name
            self._tell(step.about, f"Still waits, after {step.seconds:.0f} s, for {step.name}.", ENGINE_SLOW)

    def was_slow(self, key: str) -> bool:
        """Whether the job was told of a slow call since the last time."""
        with self._lock:
            return self._slow.pop(key, None) is not None

    def report_listing(self, error: str) -> None:
        """The engine was listed, or could not be ("" when it could): every job that has not ended is told."""
        with self._lock:
            if error == self._listing_error:
                return
            self._listing_error = error
            before, self._told_of_listing = self._told_of_listing, set()
            if error:
                self._told_of_listing = self._state.unfinished()
            told = sorted(self._told_of_listing)
        for key in told:
            self._tell(key, error, ENGINE_ERROR)
        for key in sorted(before.difference(told)):
            self._enqueue(key)

    def _tell(self, key: str, message: str, reason: str) -> None:
        self._state.set_message(key, self._file_of(key), message, condition=(ENGINE_FAILING, reason))
