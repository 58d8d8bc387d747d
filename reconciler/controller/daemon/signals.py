"""Signals: SIGTERM and SIGINT end the daemon, SIGHUP reloads its settings, SIGUSR1 rescans the manifests.

A handler may interrupt the holder of an event's lock, so most of them only set a flag, which the main loop
sees. Where the daemon runs in another thread than the main one, signals are its program's own affair.

Handlers run in the main thread, between two of its steps. One that never ends (a call to a file system that
does not answer) would keep them from running: :class:`EndGuard` sees the signal all the same, and ends the
process when it does not end by itself. That is no more than a kill: containers go on, and the next daemon
finds everything again.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

#: Seconds in which the daemon has to show that it is on its way out; longer than all its own patience.
END_SECONDS: Final = 20.0
#: The same after a second signal, which should end it at once.
SECOND_SIGNAL_SECONDS: Final = 1.0
#: Seconds between two looks whether a signal has not been taken.
PENDING_INTERVAL: Final = 2.0

_log = structlog.get_logger(__name__)


@dataclass
class SignalFlags:
    """What signals have asked for and the main loop has not yet done."""

    reload: bool = False
    rescan: bool = False


class EndGuard:
    """Ends this process some time after a signal to end, whatever its main thread is waiting for.

    Args:
        seconds: from the signal, or from the last :meth:`extend` after it.
    """

    def __init__(self, *, seconds: float = END_SECONDS) -> None:
        self._seconds = seconds
        self._extended_at = 0.0

    def watch(self) -> None:
        """Watch signals from now on; call it in the main thread."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._run, args=(reader,), name="end-guard", daemon=True).start()

    def extend(self) -> None:
        """Begin the time anew: the process is at work on its end (it stops jobs)."""
        self._extended_at = time.monotonic()

    def _run(self, reader: int) -> None:
        """Start a timer at the first signal to end, and another at the second."""
        asked, stuck = 0, 0
        while asked < 2:
            ready = select.select([reader], [], [], PENDING_INTERVAL)[0]
            if ready:
                number = os.read(reader, 1)[0]
            else:
                # The kernel gives a signal to the main thread, which does not take it in some waits.
                before, stuck = stuck, _pending_signal()
                number = stuck if stuck == before and not asked else 0
            if number in {signal.SIGTERM, signal.SIGINT}:
                asked += 1
                threading.Thread(
                    target=self._end, args=(number, asked > 1), name="end-timer", daemon=True
                ).start()

    def _end(self, number: int, again: bool) -> None:
        seconds = SECOND_SIGNAL_SECONDS if again else self._seconds
        since = time.monotonic()
        while (left := max(since, 0.0 if again else self._extended_at) + seconds - time.monotonic()) > 0:
            time.sleep(left)
        _log.error("shutdown forced", signal=signal.Signals(number).name, reason="something never answers")
        os._exit(128 + number)


def _pending_signal() -> int:
    """The signal to end that this process has been sent and has not taken; 0 for none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    pending = next((int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd:")), 0)
    return next((n for n in (signal.SIGTERM, signal.SIGINT) if pending >> (n - 1) & 1), 0)


def install_handlers(stop: threading.Event, flags: SignalFlags, *, reloads: bool) -> None:
    """Handle signals from now on, if this is the main thread.

    Args:
        stop: set by SIGTERM and SIGINT; a second one ends the process at once.
        flags: set by the others.
        reloads: whether the daemon can read its configuration again; else SIGHUP keeps its default action.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    def request_stop(number: int, _frame: object) -> None:
        if stop.is_set():
            # The first one may be waiting for jobs to stop.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        _log.info("shutdown requested", signal=signal.Signals(number).name)
        stop.set()

    def request_reload(_number: int, _frame: object) -> None:
        flags.reload = True

    def request_rescan(_number: int, _frame: object) -> None:
        flags.rescan = True

    if reloads:
        signal.signal(signal.SIGHUP, request_reload)
    signal.signal(signal.SIGUSR1, request_rescan)
    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
